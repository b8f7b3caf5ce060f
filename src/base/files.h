// SPDX-License-Identifier: Apache-2.0
// Reading and writing whole files, and opening paths that an untrusted party can influence: those are only resolved
// beneath a directory descriptor.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

// Reads from fd to the end of the file. kOutOfRange: more than limit bytes.
Result<std::string> ReadAll(int fd, size_t limit = 16U << 20U);
// Reads the file at a trusted path. kOutOfRange: more than limit bytes.
Result<std::string> ReadFile(const std::string& path, size_t limit = 16U << 20U);
// As ReadFile, for a path that an untrusted party may have chosen: it never blocks, for example on a FIFO.
// kInvalidArgument: not a regular file.
Result<std::string> ReadRegularFile(const std::string& path, size_t limit = 16U << 20U);
// Writes all data to fd; repeats after EINTR and short writes.
Result<> WriteAll(int fd, std::string_view data);
// Writes to an existing file at a trusted path with one write(2), as files of /proc and cgroupfs require.
Result<> WriteFile(const std::string& path, std::string_view data);
// Replaces dirfd/name with a new file (rename(2)): readers see the old contents or the new, never a part. There is no
// fsync(2). mode is subject to the umask.
Result<> WriteFileAtomic(int dirfd, const std::string& name, std::string_view data, mode_t mode);

// open(2) of a trusted path, with O_CLOEXEC.
Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0);

// Opens path beneath dirfd. Symbolic links and paths that leave dirfd are errors (openat2(2) RESOLVE_BENEATH |
// RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS). Without openat2(2), WalkBeneath (path_walk.h) resolves the path, and
// refuses every "..".
Result<UniqueFd> OpenBeneath(int dirfd, std::string_view path, int flags, mode_t mode = 0);
// Opens path as if rootfd were "/", for paths inside a container's rootfs: symbolic links and ".." are followed but
// never leave rootfd (openat2(2) RESOLVE_IN_ROOT). Without openat2(2), WalkInRoot (path_walk.h) resolves the path.
Result<UniqueFd> OpenInRoot(int rootfd, std::string_view path, int flags, mode_t mode = 0);
// Creates the directory path and its missing parents inside rootfd, and opens it with O_PATH. An existing directory is
// no error. ENOTDIR: a component exists and is no directory.
Result<UniqueFd> MakeDirsInRoot(int rootfd, std::string_view path, mode_t mode);
// Creates an empty file at path inside rootfd, with its missing parents (mode 0755), and opens it with O_PATH, as a
// mount point for a file. An existing file of any type but a directory is no error. EISDIR: a directory is there.
Result<UniqueFd> MakeFileInRoot(int rootfd, std::string_view path, mode_t mode);

// "/proc/self/fd/N", which names a descriptor in a system call that only takes paths.
std::string FdPath(int fd);
// The current path of a descriptor, as this process's mount namespace and root directory show it.
Result<std::string> PathOfFd(int fd);
// Decodes a path of /proc/PID/mountinfo, where space, tab, newline and backslash are a backslash and three octal digits
// (proc(5)).
std::string UnescapeMountinfo(std::string_view text);

// Removes dirfd/name recursively, without following symbolic links or entering mount points. Success if name does not
// exist. kFailedPrecondition: a mount point is in the tree; it stays, what came before it is removed. kInvalidArgument:
// name is not a single path component. kUnimplemented: this kernel does not report mount points (statx(2)).
Result<> RemoveTree(int dirfd, const std::string& name);
// As above, for a trusted absolute path.
Result<> RemoveTree(const std::string& path);

// The names in a directory, without "." and "..", sorted. dirfd may be an O_PATH descriptor.
Result<std::vector<std::string>> ListDir(int dirfd);

// For tests: the functions above act as on a kernel without openat2(2).
void DisableOpenat2ForTest(bool disabled);

}  // namespace kata
