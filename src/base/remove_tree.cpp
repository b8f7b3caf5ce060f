// SPDX-License-Identifier: Apache-2.0
// RemoveTree of files.h: removes a directory recursively without following symbolic links.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"

namespace kata {
namespace {

// Refuses mount points, whose contents belong to somebody else. Device numbers do not show all of them: a bind mount of
// the same file system has the same number. statx(2) STATX_ATTR_MOUNT_ROOT does.
Result<> RefuseMountPoint(int fd, const std::string& name) {
  struct statx info {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &info) != 0) return FailErrno("{}", name);
  if ((info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0) {
    return Fail(Code::kUnimplemented, "this kernel does not tell mount points, so {} is not removed", name);
  }
  if ((info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
    return Fail(Code::kFailedPrecondition, "{} is a mount point, and is not touched", name);
  }
  return {};
}

Result<> RemoveAt(int dirfd, const std::string& name, int depth) {
  if (depth > 256) return Fail(Code::kOutOfRange, "{} is too deep", name);
  const UniqueFd handle(openat(dirfd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!handle) {
    if (errno == ENOENT) return {};
    return FailErrno("cannot open {}", name);
  }
  TRY(RefuseMountPoint(handle.get(), name));
  struct stat info {};
  if (fstat(handle.get(), &info) != 0) return FailErrno("cannot look at {}", name);
  if (!S_ISDIR(info.st_mode)) {
    if (unlinkat(dirfd, name.c_str(), 0) != 0 && errno != ENOENT) return FailErrno("cannot remove {}", name);
    return {};
  }
  for (const std::string& entry : TRY(ListDir(handle.get()))) {
    TRY(Context(RemoveAt(handle.get(), entry, depth + 1), "{}", name));
  }
  if (unlinkat(dirfd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return FailErrno("cannot remove {}", name);
  return {};
}

}  // namespace

Result<> RemoveTree(int dirfd, const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    return Fail(Code::kInvalidArgument, "\"{}\" is not the name of a directory's entry", name);
  }
  return RemoveAt(dirfd, name, 0);
}

Result<> RemoveTree(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (path.empty() || path.front() != '/' || slash + 1 == path.size()) {
    return Fail(Code::kInvalidArgument, "\"{}\" is not an absolute path of a directory", path);
  }
  auto parent = Open(slash == 0 ? "/" : path.substr(0, slash), O_PATH | O_DIRECTORY);
  if (!parent && parent.error().sys() == ENOENT) return {};
  const UniqueFd fd = TRY(std::move(parent));
  return Context(RemoveTree(fd.get(), path.substr(slash + 1)), "removing {}", path);
}

}  // namespace kata
