// SPDX-License-Identifier: Apache-2.0
// An image file as a block device of the host, for what is mounted there.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// Attaches a file to a free loop device, which the kernel detaches when neither the descriptor nor a mount of it is
// left. FdPath of the descriptor names it for mount(2). kResourceExhausted: none stays free for long enough.
Result<UniqueFd> AttachLoop(const std::string& file, bool read_only);

}  // namespace kata::sandbox
