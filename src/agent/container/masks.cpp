// SPDX-License-Identifier: Apache-2.0
#include "agent/container/masks.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <string>

#include "agent/container/devices.h"
#include "agent/container/mount_api.h"
#include "base/files.h"

namespace kata::agent {

namespace {

// Opens path inside root; a descriptor that is not valid, and no error, if it does not exist.
Result<UniqueFd> Find(int root, const std::string& path) {
  auto found = OpenInRoot(root, path, O_PATH);
  if (!found && (found.error().sys() == ENOENT || found.error().sys() == ENOTDIR)) return UniqueFd();
  return found;
}

Result<> Mask(const std::string& path, int null, int root) {
  const UniqueFd target = TRY(Find(root, path));
  if (!target) return {};
  struct stat info {};
  if (fstat(target.get(), &info) != 0) return FailErrno("cannot look at it");
  if (!S_ISDIR(info.st_mode)) {
    const UniqueFd cover = TRY(CloneMount(null, "", /*recursive=*/false));
    return AttachMount(cover.get(), target.get());
  }
  const UniqueFd cover = TRY(NewFilesystem("tmpfs", "tmpfs", {"size=0", "nr_inodes=2"}, MOUNT_ATTR_RDONLY));
  return AttachMount(cover.get(), target.get());
}

Result<> MakeReadonly(const std::string& path, int root) {
  const UniqueFd target = TRY(Find(root, path));
  if (!target) return {};
  const UniqueFd copy = TRY(CloneMount(target.get(), "", /*recursive=*/true));
  TRY(SetMountAttributes(copy.get(), /*recursive=*/false, MOUNT_ATTR_RDONLY, 0));
  return AttachMount(copy.get(), target.get());
}

}  // namespace

Result<> MaskPaths(const grpc::Linux& linux, int root) {
  if (linux.maskedpaths().empty()) return {};
  const UniqueFd null = TRY(Open("/dev/null", O_PATH | O_NOFOLLOW));
  if (!IsCharDevice(null.get(), 1, 3)) return Fail(Code::kInternal, "/dev/null of the guest is something else");
  for (int i = 0; i < linux.maskedpaths_size(); ++i) {
    TRY(Context(Mask(linux.maskedpaths(i), null.get(), root), "linux.maskedPaths[{}] ({})", i, linux.maskedpaths(i)));
  }
  return {};
}

Result<> MakePathsReadonly(const grpc::Linux& linux, int root) {
  for (int i = 0; i < linux.readonlypaths_size(); ++i) {
    const std::string& path = linux.readonlypaths(i);
    TRY(Context(MakeReadonly(path, root), "linux.readonlyPaths[{}] ({})", i, path));
  }
  return {};
}

}  // namespace kata::agent
