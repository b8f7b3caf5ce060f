// SPDX-License-Identifier: Apache-2.0
// Walks of paths by hand, one component at a time: OpenBeneath and OpenInRoot (files.h) on kernels without openat2, and
// the one that makes what is missing.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

Result<UniqueFd> WalkBeneath(int dirfd, const std::string& path, int flags, mode_t mode);
Result<UniqueFd> WalkInRoot(int rootfd, const std::string& path, int flags, mode_t mode);
// Opens path O_PATH, a directory or anything else (is_file), and makes it and the directories above it where they are
// missing. A link to nowhere is followed, and what it names is made inside rootfd.
Result<UniqueFd> MakeInRoot(int rootfd, const std::string& path, bool is_file, mode_t mode, mode_t directory_mode);

}  // namespace kata
