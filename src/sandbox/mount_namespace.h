// SPDX-License-Identifier: Apache-2.0
// The mount namespace that a sandbox process has to itself.
#pragma once

#include <string>

#include "base/result.h"

namespace kata::sandbox {

// Moves this process into a mount namespace of its own (unshare(2)). Mounts that the host makes or removes later still
// come in, where the host's are shared; none goes out.
Result<> EnterPrivateMountNamespace();

// Detaches what the sandbox does not need any more, so that it does not keep file systems busy that the host has
// unmounted: everything but "/", /proc, /dev, what lies below keep (absolute), and what keep lies below.
Result<> DropHostMounts(const std::string& keep);

}  // namespace kata::sandbox
