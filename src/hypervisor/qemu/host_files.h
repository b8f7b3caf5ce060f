// SPDX-License-Identifier: Apache-2.0
// Checks, before QEMU starts, that its unprivileged user can open the files of the host that it needs, so that error
// messages name the cause.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"

namespace kata::hypervisor::qemu {

// A file that the guest boots from, as the configuration names it.
struct GuestFile {
  std::string what;  // "kernel" or "initrd", for messages
  std::string path;
  std::string advice;  // what to do when it is missing
};
GuestFile KernelOf(const config::HypervisorConfig& config);
GuestFile InitrdOf(const config::HypervisorConfig& config);

// kFailedPrecondition: not a regular file, or empty; kPermissionDenied: not readable for everyone, which is required
// because QEMU opens the file again through /proc/self/fd as its own user.
Result<UniqueFd> TryGuestFile(const GuestFile& file);

// The same; the error that it is missing ends with the advice.
Result<UniqueFd> OpenGuestFile(const GuestFile& file);

// The value of -bios: the configured firmware; else, for q35, qboot if it is installed; else "".
std::string Firmware(const config::HypervisorConfig& config);

}  // namespace kata::hypervisor::qemu
