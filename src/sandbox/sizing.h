// SPDX-License-Identifier: Apache-2.0
// The size of the VM: the configuration's base plus what the container's linux.resources ask for.
#pragma once

#include <cstdint>

#include "config/config.h"
#include "protocol/oci.pb.h"

namespace kata::sandbox {

struct Host {
  uint32_t cpus = 1;
  uint64_t memory_mib = 0;
};
// What this machine has.
Host ThisHost();

struct VmSize {
  uint32_t vcpus = 1;
  uint64_t memory_mib = 0;

  bool operator==(const VmSize&) const = default;
};

// What the resources leave a container: bytes (memory.limit) and processors (cpu.quota / cpu.period), 0 where there is
// no limit. What unified says in memory.max and cpu.max counts in their place, as it does in the guest.
int64_t MemoryLimit(const grpc::LinuxResources& resources);
double CpuLimit(const grpc::LinuxResources& resources);

// Base + limits, rounded up, within the configuration's maxima and the host.
VmSize SizeVm(const config::HypervisorConfig& config, const grpc::LinuxResources& resources, const Host& host);

}  // namespace kata::sandbox
