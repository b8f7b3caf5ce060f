// SPDX-License-Identifier: Apache-2.0
// What QEMU, as an unprivileged user, needs of the host's files, checked before it starts so that errors name the
// cause.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"

namespace kata::hypervisor::qemu {

// Opens the guest's kernel or initrd: a regular file, not empty, that QEMU's user may read, since QEMU opens it again
// by way of /proc/self/fd. what is the configuration's key, for the message.
Result<UniqueFd> OpenGuestFile(const std::string& what, const std::string& path);

// The groups by which an unprivileged user may open the kvm device: none when everyone may, else the device's group.
// kPermissionDenied when neither is so.
Result<std::vector<gid_t>> KvmGroups(const std::string& device);

// The firmware for -bios: the configured one; else for q35 the smallest that boots a kernel directly, where QEMU has
// it.
std::string Firmware(const config::HypervisorConfig& config);

}  // namespace kata::hypervisor::qemu
