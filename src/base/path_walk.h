// SPDX-License-Identifier: Apache-2.0
// The walks of OpenBeneath and OpenInRoot (files.h) by hand, one component at a time, for kernels without openat2.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

Result<UniqueFd> WalkBeneath(int dirfd, const std::string& path, int flags, mode_t mode);
Result<UniqueFd> WalkInRoot(int rootfd, const std::string& path, int flags, mode_t mode);

}  // namespace kata
