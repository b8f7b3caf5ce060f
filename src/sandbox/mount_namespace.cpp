// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mount_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

constexpr char kOwnNamespace[] = "/proc/self/ns/mnt";

bool IsSameOrBelow(std::string_view path, std::string_view above) {
  if (above == "/") return true;
  return path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/');
}

// The fifth field of each line: the mount points, those above before those below.
std::vector<std::string> MountPoints(std::string_view mountinfo) {
  std::vector<std::string> points;
  while (!mountinfo.empty()) {
    std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(mountinfo.size(), line.size() + 1));
    for (int field = 0; field < 4; ++field) line.remove_prefix(std::min(line.size(), line.find(' ') + 1));
    points.push_back(UnescapeMountinfo(line.substr(0, line.find(' '))));
  }
  return points;
}

}  // namespace

Result<MountNamespaces> MountNamespaces::EnterPrivate() {
  Spaces spaces;
  spaces.host = TRY(Open(kOwnNamespace, O_RDONLY));
  if (unshare(CLONE_NEWNS) != 0) return FailErrno("cannot make a mount namespace for the sandbox (unshare)");
  // Without an effect on a private "/", whose mounts then neither come in nor go out.
  if (mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return FailErrno("cannot cut the mounts of the sandbox off from the host's");
  }
  spaces.own = TRY(Open(kOwnNamespace, O_RDONLY));
  MountNamespaces both;
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
  // Whatever were done next would be done to the host.
  log::Error("{}", back.error().message());
  std::abort();
}

Result<> DropHostMounts(const std::string& keep) {
  std::string mountinfo = TRY(ReadFile("/proc/self/mountinfo"));
  for (const std::string& point : MountPoints(mountinfo)) {
    bool needed = IsSameOrBelow(keep, point) || IsSameOrBelow(point, keep) || IsSameOrBelow(point, "/proc") ||
                  IsSameOrBelow(point, "/dev");
    // Takes all below with it; those then fail with EINVAL (no mount point) or ENOENT in their turn.
    if (!needed) umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  return {};
}

}  // namespace kata::sandbox
