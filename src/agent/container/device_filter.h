// SPDX-License-Identifier: Apache-2.0
// The device controller of cgroup v2: a BPF program (BPF_PROG_TYPE_CGROUP_DEVICE) attached to the cgroup that allows or
// denies each open(2) and mknod(2) of a device.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "agent/container/container.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// One rule. For each kind of access the last rule that matches decides.
struct DeviceRule {
  bool allow = false;
  char type = 'a';     // 'b', 'c', or 'a' for both
  int64_t major = -1;  // -1: any
  int64_t minor = -1;
  uint32_t access = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
};

// The rules of linux.resources.devices in their order; then rules that allow what every container may do, as with runc
// (mknod of any device; all access to null, zero, full, random, urandom, tty, ptmx and the ptys); then rules that deny
// the protected devices. All other access is denied. kInvalidArgument: an unknown type.
Result<std::vector<DeviceRule>> DeviceRules(const grpc::LinuxResources& resources,
                                            const std::vector<ProtectedDevice>& protected_devices);

// The BPF program that enforces the rules.
std::vector<bpf_insn> BuildDeviceFilter(const std::vector<DeviceRule>& rules);

// Loads the filter and attaches it to the cgroup. Replaces old_program, unless that is -1. Returns a descriptor of the
// new program, which the caller keeps as the next old_program.
Result<UniqueFd> AttachDeviceFilter(int cgroup, const std::vector<bpf_insn>& filter, int old_program);

}  // namespace kata::agent
