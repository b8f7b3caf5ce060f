// SPDX-License-Identifier: Apache-2.0
#include "sandbox/sizing.h"

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

// A number with a size's letter, as the kernel reads the files of a cgroup; 0 for "max" and what is none.
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

}  // namespace

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

Host ThisHost() {
  Host host;
  host.cpus = static_cast<uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  host.memory_mib =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) / kMib;
  return host;
}

VmSize SizeVm(const config::HypervisorConfig& config, const grpc::LinuxResources& resources, const Host& host) {
  uint64_t memory = config.default_memory;
  memory += (static_cast<uint64_t>(MemoryLimit(resources)) + kMib - 1) / kMib;
  uint64_t max_memory = config.default_maxmemory == 0 ? host.memory_mib : config.default_maxmemory;
  // The base may be above what the host has: memory is only taken when the guest touches it.
  max_memory = std::max<uint64_t>(max_memory, config.default_memory);

  double vcpus = (config.default_vcpus < 0 ? host.cpus : config.default_vcpus) + CpuLimit(resources);
  uint32_t max_vcpus = config.default_maxvcpus == 0 ? host.cpus : config.default_maxvcpus;
  return {.vcpus = static_cast<uint32_t>(std::clamp<double>(std::ceil(vcpus), 1, std::max(1U, max_vcpus))),
          .memory_mib = std::min(memory, max_memory)};
}

}  // namespace kata::sandbox
