// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/mount_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <cstdlib>
#include <string_view>

#include "base/files.h"
#include "base/log.h"
#include "sandbox/host/host_mounts.h"

namespace kata::sandbox {
namespace {

constexpr char kOwnNamespace[] = "/proc/self/ns/mnt";

bool IsSameOrBelow(std::string_view path, std::string_view above) {
  if (above == "/") return true;
  return path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/');
}

}  // namespace

Result<MountNamespaces> MountNamespaces::EnterPrivate() {
  Spaces spaces;
  spaces.host = TRY(Open(kOwnNamespace, O_RDONLY));
  const bool may_return = setns(spaces.host.get(), CLONE_NEWNS) == 0;
  if (unshare(CLONE_NEWNS) != 0) return FailErrno("cannot make a mount namespace for the sandbox (unshare)");
  // No effect on a private "/": its mounts then propagate in neither direction.
  if (mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return FailErrno("cannot cut the mounts of the sandbox off from the host's");
  }
  spaces.own = TRY(Open(kOwnNamespace, O_RDONLY));
  MountNamespaces both;
  if (!may_return) return both;
  both.spaces_ = std::make_shared<const Spaces>(std::move(spaces));
  return both;
}

Result<> MountNamespaces::Enter(const UniqueFd& space) {
  if (setns(space.get(), CLONE_NEWNS) != 0) return FailErrno("cannot enter a mount namespace");
  return {};
}

void MountNamespaces::ComeBack() const {
  auto back = Enter(spaces_->own);
  if (back) return;
  // Whatever this process did next would be done to the host.
  log::Error("{}", back.error().message());
  std::abort();
}

Result<> DropHostMounts(const std::string& keep) {
  // Mounts come before those below them.
  for (const HostMount& host_mount : TRY(HostMounts())) {
    const std::string& point = host_mount.point;
    bool needed = IsSameOrBelow(keep, point) || IsSameOrBelow(point, keep) || IsSameOrBelow(point, "/proc") ||
                  IsSameOrBelow(point, "/dev");
    // Unmounts all mounts below as well. In their own turn those fail with EINVAL (no mount point) or ENOENT.
    if (!needed) umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  return {};
}

}  // namespace kata::sandbox
