// SPDX-License-Identifier: Apache-2.0
#include "sandbox/sizing.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace kata::sandbox {
namespace {

constexpr uint64_t kMib = 1U << 20U;
constexpr uint64_t kDefaultPeriod = 100000;  // microseconds, of the kernel's CFS bandwidth control

}  // namespace

Host ThisHost() {
  Host host;
  host.cpus = static_cast<uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  host.memory_mib =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) / kMib;
  return host;
}

VmSize SizeVm(const config::HypervisorConfig& config, const grpc::LinuxResources& resources, const Host& host) {
  uint64_t memory = config.default_memory;
  if (int64_t limit = resources.memory().limit(); limit > 0) {
    memory += (static_cast<uint64_t>(limit) + kMib - 1) / kMib;
  }
  uint64_t max_memory = config.default_maxmemory == 0 ? host.memory_mib : config.default_maxmemory;
  // The base may be above what the host has: memory is only taken when the guest touches it.
  max_memory = std::max<uint64_t>(max_memory, config.default_memory);

  double vcpus = config.default_vcpus < 0 ? host.cpus : config.default_vcpus;
  const auto& cpu = resources.cpu();
  if (cpu.quota() > 0) {
    vcpus += static_cast<double>(cpu.quota()) / static_cast<double>(cpu.period() > 0 ? cpu.period() : kDefaultPeriod);
  }
  uint32_t max_vcpus = config.default_maxvcpus == 0 ? host.cpus : config.default_maxvcpus;
  return {.vcpus = static_cast<uint32_t>(std::clamp<double>(std::ceil(vcpus), 1, std::max(1U, max_vcpus))),
          .memory_mib = std::min(memory, max_memory)};
}

}  // namespace kata::sandbox
