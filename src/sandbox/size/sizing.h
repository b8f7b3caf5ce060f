// SPDX-License-Identifier: Apache-2.0
// The size of the VM: the configuration's base plus what the containers' linux.resources ask for.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "config/config.h"
#include "hypervisor/hypervisor.h"
#include "protocol/oci.pb.h"

namespace kata::sandbox {

using hypervisor::VmSize;

struct Host {
  uint32_t cpus = 1;
  uint64_t memory_mib = 0;
};
// The online processors and the physical memory of this host.
Host ThisHost();

// The limits of one container, or the sum for several. 0: no limit.
struct Demand {
  uint64_t memory_mib = 0;
  double cpus = 0;

  bool operator==(const Demand&) const = default;
};
Demand operator+(const Demand& a, const Demand& b);
// The maximum of each field.
Demand Larger(const Demand& a, const Demand& b);

// The demand of a container's resources: memory.limit plus hugepageLimits, rounded up to MiB, and cpu.quota /
// cpu.period. As in the guest, memory.max and cpu.max in unified replace them.
Demand DemandOf(const grpc::LinuxResources& resources);

// A container's resources after an update: a limit that the update does not name stays. Merges only what DemandOf
// reads.
grpc::LinuxResources Updated(const grpc::LinuxResources& before, const grpc::LinuxResources& update);

// The largest VM that the configuration and the host allow.
VmSize LargestVm(const config::HypervisorConfig& config, const Host& host);

// The VM's size for a demand: the configuration's base size plus the demand, rounded up, at most LargestVm. Where there
// is a limit and the configuration has an overhead, the overhead replaces the base. kInvalidArgument: the demand for
// memory exceeds LargestVm, or default_memory exceeds the host's memory.
Result<VmSize> SizeVm(const config::HypervisorConfig& config, const Demand& demand, const Host& host);

}  // namespace kata::sandbox
