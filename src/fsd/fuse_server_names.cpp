// SPDX-License-Identifier: Apache-2.0
// FuseServer: names that are made, moved and removed.
#include <stdio.h>
#include <sys/sysmacros.h>

#include "fsd/fuse_server_parts.h"
#include "fsd/open_flags.h"

namespace kata::fsd {
namespace {

dev_t DecodeDevice(uint32_t device) {
  return makedev((device & 0xfff00U) >> 8U, (device & 0xffU) | ((device >> 12U) & 0xfff00U));
}

}  // namespace

int FuseServer::MakeNode(Request& request, Reply& reply) {
  fuse_mknod_in in;
  if (!request.Take(&in)) return EINVAL;
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  SetUmask(in.umask);
  if (mknodat(directory.fd(), name, in.mode & (S_IFMT | 07777), DecodeDevice(in.rdev)) != 0) return errno;
  return PutEntry(directory.inode, name, reply);
}

int FuseServer::MakeDirectory(Request& request, Reply& reply) {
  fuse_mkdir_in in;
  if (!request.Take(&in)) return EINVAL;
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  SetUmask(in.umask);
  if (mkdirat(directory.fd(), name, in.mode & 07777) != 0) return errno;
  return PutEntry(directory.inode, name, reply);
}

int FuseServer::MakeSymlink(Request& request, Reply& reply) {
  const char* name = request.TakeString();
  const char* target = request.TakeString();
  if (!IsName(name) || target == nullptr) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  if (symlinkat(target, directory.fd(), name) != 0) return errno;
  return PutEntry(directory.inode, name, reply);
}

int FuseServer::Link(Request& request, Reply& reply) {
  fuse_link_in in;
  if (!request.Take(&in)) return EINVAL;
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  const auto inode = inodes_.Find(in.oldnodeid);
  if (!inode) return ESTALE;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  const InodePath file = PathOf(*inode);
  if (!file) return errno;
  if (linkat(file.fd(), "", directory.fd(), name, AT_EMPTY_PATH) != 0) return errno;
  return PutEntry(directory.inode, name, reply);
}

FuseServer::Victim FuseServer::FindVictim(const Reached& directory, const char* name) {
  Victim victim;
  struct statx status = {};
  if (statx(directory.fd(), name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kStatusMask, &status) != 0) return victim;
  const auto mount = mounts_.Find(status.stx_mnt_id);
  if (!mount) return victim;
  const InodeKey key = InodeKeyOf(*mount, status);
  victim.inode = inodes_.FindKey(key);
  if (!victim.inode) return victim;
  // Another name is as good as this one, unless this one is how it is found.
  const auto dentry = inodes_.AccessOf(*victim.inode).dentry;
  const bool found_by_it = dentry && dentry->parent->key == directory.inode->key && dentry->name == name;
  if (!S_ISDIR(status.stx_mode) && status.stx_nlink > 1 && !found_by_it) return victim;
  // One that the guest has open needs no second descriptor, unless this name's mount allows more.
  victim.path = inodes_.OpenOf(*victim.inode);
  if (victim.path && victim.path->mount == mount) return victim;
  victim.path = nullptr;
  UniqueFd path(openat(directory.fd(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  // The name may have come to another file meanwhile.
  if (!path || StatusOf(path.get(), &status) != 0 || !(InodeKeyOf(*mount, status) == key)) return victim;
  if (!reserve_.MayKeep(path.get())) return victim;
  victim.path = std::make_shared<const OpenPath>(mount, std::move(path));
  return victim;
}

void FuseServer::KeepVictim(const Victim& victim) {
  if (!victim.inode || !victim.path) return;
  const Access access = inodes_.AccessOf(*victim.inode);
  if (access.by_handle() && FileHandle::Of(victim.path->fd.get(), "") != access.handle) return;
  inodes_.KeepNameless(*victim.inode, victim.path);
}

int FuseServer::RemoveName(Request& request, int flags) {
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  const Victim victim = FindVictim(directory, name);
  if (unlinkat(directory.fd(), name, flags) != 0) return errno;
  KeepVictim(victim);
  freed_.Removed();
  return 0;
}

int FuseServer::Unlink(Request& request, Reply& /*reply*/) { return RemoveName(request, 0); }

int FuseServer::RemoveDirectory(Request& request, Reply& /*reply*/) { return RemoveName(request, AT_REMOVEDIR); }

int FuseServer::Rename(Request& request, Reply& /*reply*/) {
  fuse_rename_in in;
  if (!request.Take(&in)) return EINVAL;
  return RenameNames(request, in.newdir, 0);
}

int FuseServer::Rename2(Request& request, Reply& /*reply*/) {
  fuse_rename2_in in;
  if (!request.Take(&in)) return EINVAL;
  if ((in.flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0) return EINVAL;
  return RenameNames(request, in.newdir, in.flags);
}

int FuseServer::RenameNames(Request& request, uint64_t new_parent, unsigned flags) {
  const char* old_name = request.TakeString();
  const char* new_name = request.TakeString();
  if (!IsName(old_name) || !IsName(new_name)) return EINVAL;
  Reached from;
  Reached to;
  if (const int error = Reach(request, &from); error != 0) return error;
  to.inode = inodes_.Find(new_parent);
  if (!to.inode) return ESTALE;
  to.path = PathOf(*to.inode);
  if (!to.path) return errno;
  const bool replaces = (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) == 0;
  const Victim victim = replaces ? FindVictim(to, new_name) : Victim();
  if (renameat2(from.fd(), old_name, to.fd(), new_name, flags) != 0) return errno;
  KeepVictim(victim);
  if (replaces) freed_.Removed();
  NoteName(to, new_name);
  if ((flags & RENAME_EXCHANGE) != 0) NoteName(from, old_name);
  return 0;
}

void FuseServer::NoteName(const Reached& directory, const char* name) {
  if (directory.path.mount().anchor) return;
  struct statx status = {};
  if (statx(directory.fd(), name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kStatusMask, &status) != 0) return;
  const auto mount = mounts_.Find(status.stx_mnt_id);
  if (mount) inodes_.Move(InodeKeyOf(*mount, status), directory.inode, name);
}

int FuseServer::PutMade(UniqueFd file, const std::shared_ptr<Mount>& mount, std::shared_ptr<const Dentry> dentry,
                        Reply& reply) {
  Found found;
  if (const int error = EnterFile(file.get(), *mount, std::move(dentry), &found); error != 0) return error;
  fuse_entry_out entry;
  FillEntry(found, &entry);
  entry.attr.flags |= kAttrNoCapability;
  reply.Put(entry);
  auto path = std::make_shared<const OpenPath>(mount, std::move(file));
  reply.Put(AddOpenFile(found.inode, std::make_shared<OpenFile>(std::move(path))));
  return 0;
}

int FuseServer::Create(Request& request, Reply& reply) {
  fuse_create_in in;
  if (!request.Take(&in)) return EINVAL;
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  if (!HasRoom()) return ENFILE;
  SetUmask(in.umask);
  UniqueFd file(openat(directory.fd(), name, HostOpenFlags(in.flags) | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                       in.mode & 07777));
  // The guest believes that there is no such file, so it has not checked whether the caller may open this one. ESTALE
  // makes its kernel look again, and then open what is there as such.
  if (!file) return errno == EEXIST && (in.flags & O_EXCL) == 0 ? ESTALE : errno;
  return PutMade(std::move(file), directory.path.shared()->mount, std::make_shared<const Dentry>(directory.inode, name),
                 reply);
}

int FuseServer::TemporaryFile(Request& request, Reply& reply) {
  fuse_create_in in;
  if (!request.Take(&in)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  if (!HasRoom()) return ENFILE;
  SetUmask(in.umask);
  // O_EXCL (it shall never have a name) is the guest's kernel's to keep.
  UniqueFd file(
      openat(directory.fd(), ".", (HostOpenFlags(in.flags) & ~O_TRUNC) | O_TMPFILE | O_CLOEXEC, in.mode & 07777));
  if (!file) return errno;
  return PutMade(std::move(file), directory.path.shared()->mount, nullptr, reply);
}

}  // namespace kata::fsd
