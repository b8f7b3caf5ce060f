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

// Base + limit, rounded up, within the configuration's maxima and the host: memory = default_memory + memory.limit,
// vCPUs = default_vcpus + cpu.quota / cpu.period. A limit that is missing, 0 or negative adds nothing.
VmSize SizeVm(const config::HypervisorConfig& config, const grpc::LinuxResources& resources, const Host& host);

}  // namespace kata::sandbox
