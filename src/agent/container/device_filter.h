// SPDX-License-Identifier: Apache-2.0
// The device cgroup of v2: a BPF program at the cgroup that allows or denies each open and mknod of a device.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "agent/container/container.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// One rule; the last one that matches an access wins. -1: any.
struct DeviceRule {
  bool allow = false;
  char type = 'a';  // 'a', 'b' or 'c'
  int64_t major = -1;
  int64_t minor = -1;
  uint32_t access = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
};

// The spec's rules in their order, then what every container may use (as runc: mknod of anything, and null, zero, full,
// random, urandom, tty, ptmx and the ptys), then the protected devices, denied. Nothing else is allowed.
Result<std::vector<DeviceRule>> DeviceRules(const grpc::LinuxResources& resources,
                                            const std::vector<ProtectedDevice>& protected_devices);

std::vector<bpf_insn> BuildDeviceFilter(const std::vector<DeviceRule>& rules);

// Loads the filter and attaches it to the cgroup, in the place of old_program unless that is -1; gives the program.
Result<UniqueFd> AttachDeviceFilter(int cgroup, const std::vector<bpf_insn>& filter, int old_program);

}  // namespace kata::agent
