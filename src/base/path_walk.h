// SPDX-License-Identifier: Apache-2.0
// Path resolution in user space, one component at a time: the fallbacks of OpenBeneath and OpenInRoot (files.h) on
// kernels without openat2(2), and the creation of missing directories.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

// Opens path beneath dirfd. EXDEV: path is absolute or has a ".."; ELOOP: a symbolic link is on the way.
Result<UniqueFd> WalkBeneath(int dirfd, const std::string& path, int flags, mode_t mode);
// Opens path as if rootfd were "/". ELOOP: more than 40 symbolic links.
Result<UniqueFd> WalkInRoot(int rootfd, const std::string& path, int flags, mode_t mode);
// Opens path with O_PATH inside rootfd, after creating it as an empty file (is_file) or a directory, and its parents
// with directory_mode, where they are missing. A dangling symbolic link is followed, and its target is created inside
// rootfd. EISDIR, ENOTDIR: something of the wrong type exists.
Result<UniqueFd> MakeInRoot(int rootfd, const std::string& path, bool is_file, mode_t mode, mode_t directory_mode);

}  // namespace kata
