// SPDX-License-Identifier: Apache-2.0
#include "sandbox/size/sizing.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

namespace kata::sandbox {
namespace {

constexpr uint64_t kMib = 1U << 20U;
constexpr uint64_t kDefaultPeriod = 100000;  // microseconds, of the kernel's CFS bandwidth control

// Some managers write a number of this order for "no limit".
constexpr uint64_t kNoLimit = uint64_t{1} << 60U;

// Parses a number with an optional unit (k, m, g, t), as the kernel does in cgroup files. 0: "max", or malformed.
int64_t ReadSize(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return 0;
  constexpr std::string_view kUnits = "kmgt";
  const bool has_unit = end != text.data() + text.size();
  const size_t unit = has_unit ? kUnits.find(static_cast<char>(*end | 0x20)) : std::string_view::npos;
  const size_t shift = unit == std::string_view::npos ? 0 : 10 * (unit + 1);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return number > (kMost >> shift) ? kMost : number << shift;
}

int64_t MemoryLimit(const grpc::LinuxResources& resources) {
  const auto unified = resources.unified().find("memory.max");
  if (unified != resources.unified().end()) return ReadSize(unified->second);
  return std::max<int64_t>(resources.memory().limit(), 0);
}

double CpuLimit(const grpc::LinuxResources& resources) {
  int64_t quota = resources.cpu().quota();
  uint64_t period = resources.cpu().period();
  const auto unified = resources.unified().find("cpu.max");
  if (unified != resources.unified().end()) {
    // "max", "50000", "max 100000" or "50000 100000".
    const std::string_view text = unified->second;
    const size_t space = std::min(text.find(' '), text.size());
    quota = ReadSize(text.substr(0, space));
    if (space < text.size()) period = static_cast<uint64_t>(ReadSize(text.substr(space + 1)));
  }
  if (quota <= 0) return 0;
  return static_cast<double>(quota) / static_cast<double>(period > 0 ? period : kDefaultPeriod);
}

// A host that is smaller than the built-in default gets a smaller VM, since nobody has asked for the default.
Result<uint64_t> BaseMemory(const config::HypervisorConfig& config, const Host& host) {
  if (config.default_memory <= host.memory_mib) return config.default_memory;
  if (config.default_memory == config::HypervisorConfig().default_memory) return host.memory_mib;
  return Fail(Code::kInvalidArgument, "default_memory: a VM of {} MiB is more than this host has, {} MiB",
              config.default_memory, host.memory_mib);
}

}  // namespace

Demand operator+(const Demand& a, const Demand& b) {
  return {.memory_mib = a.memory_mib + b.memory_mib, .cpus = a.cpus + b.cpus};
}

Demand Larger(const Demand& a, const Demand& b) {
  return {.memory_mib = std::max(a.memory_mib, b.memory_mib), .cpus = std::max(a.cpus, b.cpus)};
}

Demand DemandOf(const grpc::LinuxResources& resources) {
  auto bytes = static_cast<uint64_t>(MemoryLimit(resources));
  // Huge pages do not count towards the memory limit.
  for (const auto& pages : resources.hugepagelimits()) {
    if (pages.limit() < kNoLimit) bytes += pages.limit();
  }
  return {.memory_mib = bytes / kMib + (bytes % kMib != 0 ? 1 : 0), .cpus = CpuLimit(resources)};
}

grpc::LinuxResources Updated(const grpc::LinuxResources& before, const grpc::LinuxResources& update) {
  grpc::LinuxResources after = before;
  // DemandOf prefers unified. So an update in the other form must remove an older value from unified.
  if (update.memory().limit() != 0) {
    after.mutable_memory()->set_limit(update.memory().limit());
    after.mutable_unified()->erase("memory.max");
  }
  if (update.cpu().quota() != 0) {
    after.mutable_cpu()->set_quota(update.cpu().quota());
    after.mutable_unified()->erase("cpu.max");
  }
  if (update.cpu().period() != 0) after.mutable_cpu()->set_period(update.cpu().period());
  for (const auto& pages : update.hugepagelimits()) {
    auto& all = *after.mutable_hugepagelimits();
    const auto same =
        std::find_if(all.begin(), all.end(), [&pages](const auto& one) { return one.pagesize() == pages.pagesize(); });
    *(same != all.end() ? &*same : all.Add()) = pages;
  }
  for (const char* name : {"memory.max", "cpu.max"}) {
    const auto found = update.unified().find(name);
    if (found != update.unified().end()) (*after.mutable_unified())[name] = found->second;
  }
  return after;
}

Host ThisHost() {
  Host host;
  host.cpus = static_cast<uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  host.memory_mib =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) / kMib;
  return host;
}

VmSize LargestVm(const config::HypervisorConfig& config, const Host& host) {
  VmSize largest{.vcpus = std::max(1U, host.cpus), .memory_mib = host.memory_mib};
  if (config.default_maxvcpus != 0) largest.vcpus = config.default_maxvcpus;
  if (config.default_maxmemory != 0) largest.memory_mib = std::min(host.memory_mib, config.default_maxmemory);
  return largest;
}

Result<VmSize> SizeVm(const config::HypervisorConfig& config, const Demand& demand, const Host& host) {
  const VmSize largest = LargestVm(config, host);
  if (demand.memory_mib > largest.memory_mib) {
    return Fail(Code::kInvalidArgument, "memory.limit: the containers of the VM ask for {} MiB, more than {}, {} MiB",
                demand.memory_mib,
                largest.memory_mib == host.memory_mib ? "this host has" : "default_maxmemory allows a VM",
                largest.memory_mib);
  }
  uint64_t memory = TRY(BaseMemory(config, host));
  if (demand.memory_mib > 0 && config.overhead_memory > 0) memory = config.overhead_memory;
  double vcpus = config.default_vcpus < 0 ? host.cpus : config.default_vcpus;
  if (demand.cpus > 0 && config.overhead_vcpus > 0) vcpus = config.overhead_vcpus;
  return VmSize{.vcpus = static_cast<uint32_t>(std::clamp<double>(std::ceil(vcpus + demand.cpus), 1, largest.vcpus)),
                .memory_mib = std::min(memory + demand.memory_mib, largest.memory_mib)};
}

}  // namespace kata::sandbox
