// SPDX-License-Identifier: Apache-2.0
// Whole files, and paths that somebody else can influence: those are only ever walked beneath a directory descriptor.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

// Reads from fd to its end, at most limit bytes; more is kOutOfRange.
Result<std::string> ReadAll(int fd, size_t limit = 16U << 20U);
// Reads the file at a trusted path.
Result<std::string> ReadFile(const std::string& path, size_t limit = 16U << 20U);
// The same of a path that somebody else may have chosen: never blocks, on a FIFO for example. kInvalidArgument when it
// is not a regular file.
Result<std::string> ReadRegularFile(const std::string& path, size_t limit = 16U << 20U);
// Writes everything to fd, going on after EINTR and short writes.
Result<> WriteAll(int fd, std::string_view data);
// Writes to an existing file at a trusted path with one write(2), as files in /proc and cgroupfs need it.
Result<> WriteFile(const std::string& path, std::string_view data);
// Replaces dirfd/name by a new file with these contents: readers see the old one or the new one, never half.
Result<> WriteFileAtomic(int dirfd, const std::string& name, std::string_view data, mode_t mode);

// open(2) of a trusted path, close-on-exec.
Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0);

// Opens path below dirfd: no "..", no symbolic link, no magic link anywhere on the way (openat2(2) RESOLVE_BENEATH |
// RESOLVE_NO_SYMLINKS, or the same walk by hand on a kernel without openat2).
Result<UniqueFd> OpenBeneath(int dirfd, std::string_view path, int flags, mode_t mode = 0);
// Opens path as if rootfd were "/": links and ".." are followed but never leave rootfd (RESOLVE_IN_ROOT), or the same
// walk by hand. For paths inside a container's rootfs.
Result<UniqueFd> OpenInRoot(int rootfd, std::string_view path, int flags, mode_t mode = 0);
// Makes path and what is missing above it inside rootfd, and opens it O_PATH | O_DIRECTORY. An existing directory is
// fine.
Result<UniqueFd> MakeDirsInRoot(int rootfd, std::string_view path, mode_t mode);
// Makes an empty file at path, with the directories above it, inside rootfd, and opens it O_PATH. An existing one of
// any kind but a directory is fine: it is the mount point of a file.
Result<UniqueFd> MakeFileInRoot(int rootfd, std::string_view path, mode_t mode);

// "/proc/self/fd/N": hands a descriptor to a system call that only takes paths.
std::string FdPath(int fd);
// Where a descriptor is, as this process's mount namespace and root see it now.
Result<std::string> PathOfFd(int fd);
// A path of /proc/PID/mountinfo as it is: there a space, tab, newline and backslash are three octal digits each.
std::string UnescapeMountinfo(std::string_view text);

// Removes dirfd/name and all below it without following links and without ever entering a mount point: one found there
// is kFailedPrecondition, and stays untouched. What does not exist is success.
Result<> RemoveTree(int dirfd, const std::string& name);
// The same for a trusted absolute path.
Result<> RemoveTree(const std::string& path);

// The names in a directory, without "." and "..", sorted.
Result<std::vector<std::string>> ListDir(int dirfd);

// For tests: makes the functions above act as on a kernel without openat2.
void DisableOpenat2ForTest(bool disabled);

}  // namespace kata
