// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/fs_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/files.h"

namespace kata::agent {

namespace {

// The recursion holds one descriptor for each level. No real data is nested as deep.
constexpr int kDeepest = 1024;
constexpr mode_t kDirectoryRights = S_ISGID | S_IRWXG;
constexpr mode_t kFileRights = S_IRGRP | S_IWGRP;

Result<> GiveDirectory(int directory, gid_t group, dev_t device, int depth) {
  if (depth > kDeepest)
    return Fail(Code::kInvalidArgument, "there are more than {} directories in each other", kDeepest);
  for (const std::string& name : TRY(ListDir(directory))) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
      return FailErrno("cannot look at {}", name);
    // Neither crosses mount points nor follows symbolic links.
    if (status.st_dev != device) continue;
    if (::fchownat(directory, name.c_str(), static_cast<uid_t>(-1), group, AT_SYMLINK_NOFOLLOW) < 0) {
      return FailErrno("cannot give {} to the group", name);
    }
    if (S_ISDIR(status.st_mode)) {
      const auto inner = TRY(OpenBeneath(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      TRY(GiveDirectory(inner.get(), group, device, depth + 1));
      if (::fchmod(inner.get(), (status.st_mode & 07777) | kDirectoryRights) < 0)
        return FailErrno("cannot change {}", name);
    } else if (S_ISREG(status.st_mode)) {
      const auto file = TRY(OpenBeneath(directory, name, O_PATH | O_CLOEXEC));
      if (::chmod(FdPath(file.get()).c_str(), (status.st_mode & 07777) | kFileRights) < 0) {
        return FailErrno("cannot change {}", name);
      }
    }
  }
  return {};
}

}  // namespace

Result<> ApplyGroup(const GuestDir& root, const grpc::Storage& storage) {
  if (!storage.has_fs_group()) return {};
  const gid_t group = storage.fs_group().group_id();
  const auto fd = TRY(root.OpenExisting(storage.mount_point(), O_RDONLY | O_DIRECTORY));
  struct stat status {};
  struct statvfs system {};
  if (::fstat(fd.get(), &status) < 0 || ::fstatvfs(fd.get(), &system) < 0) {
    return FailErrno("cannot look at {}", storage.mount_point());
  }
  if ((system.f_flag & ST_RDONLY) != 0) return {};
  const bool is_given = status.st_gid == group && (status.st_mode & kDirectoryRights) == kDirectoryRights;
  if (is_given && storage.fs_group().group_change_policy() == types::OnRootMismatch) return {};
  TRY(Context(GiveDirectory(fd.get(), group, status.st_dev, 0), "cannot give {} to the group {}", storage.mount_point(),
              group));
  // The root directory comes last. If this fails before, OnRootMismatch makes the next call start again.
  if (::fchown(fd.get(), static_cast<uid_t>(-1), group) < 0 ||
      ::fchmod(fd.get(), (status.st_mode & 07777) | kDirectoryRights) < 0) {
    return FailErrno("cannot give {} to the group {}", storage.mount_point(), group);
  }
  return {};
}

}  // namespace kata::agent
