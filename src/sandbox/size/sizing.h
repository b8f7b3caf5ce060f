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
// The processors and the memory of this host.
Host ThisHost();

// The limits of one container, or of several together; 0 where there is none.
struct Demand {
  uint64_t memory_mib = 0;
  double cpus = 0;

  bool operator==(const Demand&) const = default;
};
Demand operator+(const Demand& a, const Demand& b);
// The larger of each field.
Demand Larger(const Demand& a, const Demand& b);

// What the resources leave a container: memory.limit and hugepageLimits, rounded up, and cpu.quota / cpu.period. What
// unified says in memory.max and cpu.max counts in their place, as it does in the guest.
Demand DemandOf(const grpc::LinuxResources& resources);

// What a container has after an update: a limit that the update does not name stays as it was.
grpc::LinuxResources Updated(const grpc::LinuxResources& before, const grpc::LinuxResources& update);

// The largest VM that the configuration and the host allow.
VmSize LargestVm(const config::HypervisorConfig& config, const Host& host);

// Base + limits (or, where there is a limit, overhead + limit, if the configuration has an overhead), rounded up, at
// most the largest VM. kInvalidArgument: limits above what a VM can have, or a base above what the host has.
Result<VmSize> SizeVm(const config::HypervisorConfig& config, const Demand& demand, const Host& host);

}  // namespace kata::sandbox
