// SPDX-License-Identifier: Apache-2.0
// Attaches an image file to a loop device of the host, for what is mounted on the host.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// Attaches a file to a free loop device and returns the device's descriptor. The kernel detaches the file when neither
// the descriptor nor a mount of the device is left. FdPath of the descriptor names the device for mount(2).
// kInvalidArgument: neither a regular file nor a block device. kResourceExhausted: others always took the free loop
// device first.
Result<UniqueFd> AttachLoop(const std::string& file, bool read_only);

}  // namespace kata::sandbox
