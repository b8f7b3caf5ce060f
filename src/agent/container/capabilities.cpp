// SPDX-License-Identifier: Apache-2.0
#include "agent/container/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace kata::agent {

namespace {

// In the order of linux/capability.h.
constexpr std::array<std::string_view, 41> kNames = {"CHOWN",
                                                     "DAC_OVERRIDE",
                                                     "DAC_READ_SEARCH",
                                                     "FOWNER",
                                                     "FSETID",
                                                     "KILL",
                                                     "SETGID",
                                                     "SETUID",
                                                     "SETPCAP",
                                                     "LINUX_IMMUTABLE",
                                                     "NET_BIND_SERVICE",
                                                     "NET_BROADCAST",
                                                     "NET_ADMIN",
                                                     "NET_RAW",
                                                     "IPC_LOCK",
                                                     "IPC_OWNER",
                                                     "SYS_MODULE",
                                                     "SYS_RAWIO",
                                                     "SYS_CHROOT",
                                                     "SYS_PTRACE",
                                                     "SYS_PACCT",
                                                     "SYS_ADMIN",
                                                     "SYS_BOOT",
                                                     "SYS_NICE",
                                                     "SYS_RESOURCE",
                                                     "SYS_TIME",
                                                     "SYS_TTY_CONFIG",
                                                     "MKNOD",
                                                     "LEASE",
                                                     "AUDIT_WRITE",
                                                     "AUDIT_CONTROL",
                                                     "SETFCAP",
                                                     "MAC_OVERRIDE",
                                                     "MAC_ADMIN",
                                                     "SYSLOG",
                                                     "WAKE_ALARM",
                                                     "BLOCK_SUSPEND",
                                                     "AUDIT_READ",
                                                     "PERFMON",
                                                     "BPF",
                                                     "CHECKPOINT_RESTORE"};

template <typename Names>
uint64_t ParseSet(const Names& names, std::vector<std::string>* unknown) {
  uint64_t set = 0;
  for (const std::string& name : names) {
    if (const auto number = CapabilityFromName(name)) {
      set |= uint64_t{1} << *number;
    } else {
      unknown->push_back(name);
    }
  }
  return set;
}

// Uses prctl(2) and not /proc/sys/kernel/cap_last_cap, which a container's mounts can fake.
bool KernelHas(unsigned capability) { return prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; }

uint64_t KernelMask() {
  uint64_t mask = 0;
  for (unsigned capability = 0; capability < 64 && KernelHas(capability); ++capability)
    mask |= uint64_t{1} << capability;
  return mask;
}

}  // namespace

std::optional<unsigned> CapabilityFromName(std::string_view name) {
  if (name.substr(0, 4) != "CAP_") return std::nullopt;
  for (unsigned i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name.substr(4)) return i;
  }
  return std::nullopt;
}

CapabilitySets ParseCapabilities(const grpc::LinuxCapabilities& names, std::vector<std::string>* unknown) {
  CapabilitySets sets;
  sets.bounding = ParseSet(names.bounding(), unknown);
  sets.effective = ParseSet(names.effective(), unknown);
  sets.inheritable = ParseSet(names.inheritable(), unknown);
  sets.permitted = ParseSet(names.permitted(), unknown);
  sets.ambient = ParseSet(names.ambient(), unknown);
  return sets;
}

Result<> LimitBoundingSet(const CapabilitySets& sets) {
  for (unsigned capability = 0; capability < 64 && KernelHas(capability); ++capability) {
    if ((sets.bounding >> capability & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      return FailErrno("process.capabilities.bounding: cannot drop capability {}", capability);
    }
  }
  return {};
}

Result<> ApplyCapabilities(const CapabilitySets& sets, uint64_t until_exec) {
  // Capabilities that this kernel does not know are left out without an error, like unknown names.
  const uint64_t mask = KernelMask();
  const uint64_t effective = (sets.effective | until_exec) & mask;
  const uint64_t permitted = (sets.permitted | until_exec) & mask;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (unsigned half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(effective >> (32 * half));
    data[half].permitted = static_cast<uint32_t>(permitted >> (32 * half));
    data[half].inheritable = static_cast<uint32_t>((sets.inheritable & mask) >> (32 * half));
  }
  if (syscall(SYS_capset, &header, data.data()) != 0) {
    return FailErrno(
        "process.capabilities: cannot set the capabilities (effective ones must be permitted, permitted "
        "and inheritable ones must be in the bounding set)");
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // The kernel accepts only ambient capabilities that are permitted and inheritable. Others (`runc spec` writes such)
  // are left out without an error, as with runc.
  const uint64_t possible = sets.ambient & sets.permitted & sets.inheritable & mask;
  for (unsigned capability = 0; capability < 64; ++capability) {
    if ((possible & uint64_t{1} << capability) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) {
      return FailErrno("process.capabilities.ambient: cannot raise capability {}", capability);
    }
  }
  return {};
}

}  // namespace kata::agent
