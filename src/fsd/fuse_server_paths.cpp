// SPDX-License-Identifier: Apache-2.0
// FuseServer: how the files of the host are opened.
#include <cstring>
#include <vector>

#include "fsd/fuse_server_parts.h"

namespace kata::fsd {
namespace {

// How many names are followed at most, which are as many system calls.
constexpr size_t kDeepest = 4096;

}  // namespace

UniqueFd FuseServer::Reopen(int path, int flags) const {
  return UniqueFd(openat(proc_fds_.get(), FdName(path).c_str(), flags | O_CLOEXEC | O_NOCTTY));
}

UniqueFd FuseServer::OpenInode(const Inode& inode, int flags, std::shared_ptr<Mount>* mount) {
  const Access access = inodes_.AccessOf(inode);
  if (!access.path && access.by_handle()) {
    *mount = mounts_.BestOf(access.mount);
    return access.handle.Open((*mount)->root.get(), flags | O_NOCTTY);
  }
  const InodePath path = PathOf(inode);
  if (!path) return {};
  *mount = path.shared()->mount;
  return Reopen(path.fd(), flags);
}

InodePath FuseServer::PathOf(const Inode& inode) {
  Access access = inodes_.AccessOf(inode);
  if (access.path || access.by_handle()) return PathWithoutName(inode, access);
  return Follow(inode, std::move(access));
}

InodePath FuseServer::PathWithoutName(const Inode& inode, const Access& access) {
  auto path = inodes_.UsePath(inode);
  // Another thread may have let it be closed since `access` was taken, which keeps it.
  if (!access.by_handle()) return InodePath(path ? path : access.path);
  if (path) {
    // A mount that has come since may allow more.
    if (path->mount == mounts_.BestOf(access.mount)) return InodePath(std::move(path));
    inodes_.Close(inode);
    if (auto kept = inodes_.UsePath(inode)) return InodePath(std::move(kept));
  }
  std::shared_ptr<Mount> mount = mounts_.BestOf(access.mount);
  UniqueFd fd = access.handle.Open(mount->root.get(), O_PATH | O_NOFOLLOW);
  if (!fd) return {};
  InodePath opened(std::move(mount), std::move(fd));
  // Something in it is asked for next, mostly.
  if (S_ISDIR(inode.type)) inodes_.Keep(inode, opened.shared());
  return opened;
}

InodePath FuseServer::Follow(const Inode& inode, Access access) {
  struct Step {
    const Inode* inode = nullptr;
    Access access;  // keeps the directory above alive
  };
  std::vector<Step> steps;  // from the file upwards
  InodePath at;
  for (const Inode* node = &inode; !at;) {
    errno = ESTALE;
    if (!access.dentry || steps.size() == kDeepest) return {};
    steps.push_back({node, std::move(access)});
    node = steps.back().access.dentry->parent.get();
    access = inodes_.AccessOf(*node);
    if (!access.path && !access.by_handle()) continue;
    at = PathWithoutName(*node, access);
    if (!at) return {};
  }
  for (; !steps.empty(); steps.pop_back()) {
    const auto& [node, known] = steps.back();
    const char* name = known.dentry->name.c_str();
    UniqueFd fd(openat(at.fd(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct statx status = {};
    const int error = !fd ? errno : StatusOf(fd.get(), &status);
    if (error != 0) {
      errno = error == ENOENT || error == ENOTDIR ? ESTALE : error;
      return {};
    }
    // Whatever else has the name now: it is not what the guest was given the node for.
    const bool same = status.stx_mnt_id == known.mount->id && InodeKeyOf(*known.mount, status) == node->key &&
                      (status.stx_mode & S_IFMT) == node->type &&
                      (!known.handle || FileHandle::Of(fd.get(), "") == known.handle);
    if (!same) {
      errno = ESTALE;
      return {};
    }
    at = InodePath(known.mount, std::move(fd));
    inodes_.Keep(*node, at.shared());
  }
  return at;
}

bool FuseServer::HasRoom() {
  if (reserve_.HasRoom(proc_fds_.get())) return true;
  inodes_.CloseRecent();
  return reserve_.HasRoom(proc_fds_.get());
}

bool FuseServer::PinInode(const Inode& inode, const Mount& mount) {
  if (mount.anchor) return false;
  inodes_.Pin(inode, PathOf(inode).shared());
  return true;
}

int FuseServer::Reach(const Request& request, Reached* reached) {
  reached->inode = NodeOf(request);
  if (!reached->inode) return ESTALE;
  reached->path = PathOf(*reached->inode);
  return reached->path ? 0 : errno;
}

}  // namespace kata::fsd
