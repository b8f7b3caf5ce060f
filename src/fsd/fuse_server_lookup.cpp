// SPDX-License-Identifier: Apache-2.0
// FuseServer: names, and what the guest is told about the files behind them.
#include <limits.h>

#include <cstring>

#include "fsd/fuse_server_parts.h"

namespace kata::fsd {
namespace {

// How the protocol writes the number of a device (new_encode_dev of the kernel).
uint32_t EncodeDevice(uint32_t major, uint32_t minor) {
  return (minor & 0xffU) | (major << 8U) | ((minor & ~0xffU) << 12U);
}

}  // namespace

bool IsName(const char* name) {
  if (name == nullptr || name[0] == '\0' || strchr(name, '/') != nullptr) return false;
  return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int FuseServer::LookUpName(const std::shared_ptr<Inode>& parent, const char* name, Found* found) {
  const InodePath directory = PathOf(*parent);
  if (!directory) return errno;
  // Before the name is looked at, so that no change of it is missed. Names that are asked for each time, or believed
  // for good, need no watch.
  if (tells_events_ && timeout_ > 0 && options_.cache != Cache::kAlways) watcher_->UseNames(parent, directory.fd());
  struct statx& status = found->status;
  if (statx(directory.fd(), name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kStatusMask, &status) != 0) return errno;
  // A file that is known already need not be opened. As long as its mount is known, its id means no other.
  const auto mount = mounts_.Find(status.stx_mnt_id);
  if (mount) {
    Describe(*mount, directory.mount(), found);
    found->inode = inodes_.EnterKnown(InodeKeyOf(*mount, status), *mount, parent, name,
                                      [&] { return FileHandle::Of(directory.fd(), name); });
    if (found->inode) return 0;
    // Nor one that is opened by its name.
    if (!mount->handles) {
      return Enter({.mount = mount, .path = {}, .handle = {}, .dentry = std::make_shared<const Dentry>(parent, name)},
                   found);
    }
  }
  UniqueFd path(openat(directory.fd(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!path) return errno;
  return EnterPath(std::move(path), directory.mount(), std::make_shared<const Dentry>(parent, name), found);
}

int FuseServer::EnterPath(UniqueFd path, const Mount& parent, std::shared_ptr<const Dentry> dentry, Found* found) {
  struct statx& status = found->status;
  if (const int error = StatusOf(path.get(), &status); error != 0) return error;
  auto mount = mounts_.Get(status.stx_mnt_id, path.get());
  if (!mount) return errno;
  Describe(*mount, parent, found);
  Access access = {.mount = mount, .path = {}, .handle = {}, .dentry = {}};
  if (mount->handles) access.handle = FileHandle::Of(path.get(), "");
  if (!access.by_handle()) {
    access.path = std::make_shared<const OpenPath>(std::move(mount), std::move(path));
    access.dentry = std::move(dentry);
  }
  return Enter(std::move(access), found);
}

int FuseServer::Enter(Access access, Found* found) {
  const InodeKey key = InodeKeyOf(*access.mount, found->status);
  // What has the same number and another name is the same file, if the other name still leads to it. It is open until
  // that is decided: other threads may have the table close it.
  const auto other = access.dentry ? inodes_.FindKey(key) : nullptr;
  const InodePath path = other ? PathOf(*other) : InodePath();
  found->inode = inodes_.EnterOrMake(key, found->status.stx_mode, std::move(access), path ? other.get() : nullptr);
  return found->inode ? 0 : errno;
}

// parent: the mount of the directory in which it was found.
void FuseServer::Describe(const Mount& mount, const Mount& parent, Found* found) {
  found->submount = mount.id != parent.id && !S_ISLNK(found->status.stx_mode);
  found->device = mounts_.NumberOf(DeviceOf(found->status));
}

int FuseServer::EnterFile(int file, const Mount& parent, std::shared_ptr<const Dentry> dentry, Found* found) {
  // A file with a handle needs no descriptor of its own, and one with a name no second one.
  if (const int error = StatusOf(file, &found->status); error != 0) return error;
  if (const auto mount = mounts_.Find(found->status.stx_mnt_id)) {
    Access access = {.mount = mount, .path = {}, .handle = {}, .dentry = {}};
    if (mount->handles) access.handle = FileHandle::Of(file, "");
    if (access.by_handle()) {
      Describe(*mount, parent, found);
      return Enter(std::move(access), found);
    }
  }
  UniqueFd path = Reopen(file, O_PATH);
  if (!path) return errno;
  return EnterPath(std::move(path), parent, std::move(dentry), found);
}

void FuseServer::FillAttributes(const struct statx& status, fuse_attr* attributes) const {
  *attributes = {
      .ino = status.stx_ino,
      .size = status.stx_size,
      .blocks = status.stx_blocks,
      .atime = static_cast<uint64_t>(status.stx_atime.tv_sec),
      .mtime = static_cast<uint64_t>(status.stx_mtime.tv_sec),
      .ctime = static_cast<uint64_t>(status.stx_ctime.tv_sec),
      .atimensec = status.stx_atime.tv_nsec,
      .mtimensec = status.stx_mtime.tv_nsec,
      .ctimensec = status.stx_ctime.tv_nsec,
      .mode = status.stx_mode,
      .nlink = status.stx_nlink,
      .uid = status.stx_uid,
      .gid = status.stx_gid,
      .rdev = EncodeDevice(status.stx_rdev_major, status.stx_rdev_minor),
      .blksize = status.stx_blksize,
  };
}

void FuseServer::FillEntry(const Found& found, fuse_entry_out* entry) const {
  *entry = {.nodeid = found.inode->id, .entry_valid = timeout_, .attr_valid = timeout_};
  FillAttributes(found.status, &entry->attr);
  if (found.submount && options_.announce_submounts) {
    entry->attr.flags |= FUSE_ATTR_SUBMOUNT | static_cast<uint32_t>(found.device) << kAttrDeviceShift;
  }
}

int FuseServer::PutEntry(const std::shared_ptr<Inode>& parent, const char* name, Reply& reply) {
  Found found;
  if (const int error = LookUpName(parent, name, &found); error != 0) return error;
  fuse_entry_out entry;
  FillEntry(found, &entry);
  reply.Put(entry);
  return 0;
}

int FuseServer::Lookup(Request& request, Reply& reply) {
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  const auto parent = NodeOf(request);
  if (!parent) return ESTALE;
  return PutEntry(parent, name, reply);
}

int FuseServer::ReadLink(Request& request, Reply& reply) {
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  if (!S_ISLNK(inode->type)) return EINVAL;
  const InodePath path = PathOf(*inode);
  if (!path) return errno;
  char target[PATH_MAX];
  const ssize_t length = readlinkat(path.fd(), "", target, sizeof(target));
  if (length < 0) return errno;
  reply.PutBytes({target, static_cast<size_t>(length)});
  return 0;
}

}  // namespace kata::fsd
