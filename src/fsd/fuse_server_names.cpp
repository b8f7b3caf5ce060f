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
  return PutEntry(*directory.inode, name, reply);
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
  return PutEntry(*directory.inode, name, reply);
}

int FuseServer::MakeSymlink(Request& request, Reply& reply) {
  const char* name = request.TakeString();
  const char* target = request.TakeString();
  if (!IsName(name) || target == nullptr) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  if (symlinkat(target, directory.fd(), name) != 0) return errno;
  return PutEntry(*directory.inode, name, reply);
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
  return PutEntry(*directory.inode, name, reply);
}

FuseServer::Victim FuseServer::FindVictim(int directory, const char* name) {
  Victim victim;
  struct statx status = {};
  if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kStatusMask, &status) != 0) return victim;
  if (!S_ISDIR(status.stx_mode) && status.stx_nlink > 1) return victim;
  victim.mount = mounts_.Find(status.stx_mnt_id);
  if (!victim.mount || !victim.mount->anchor) return victim;
  victim.inode = inodes_.FindKey(KeyOf(*victim.mount, status));
  if (!victim.inode) return victim;
  victim.path.Reset(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  return victim;
}

void FuseServer::KeepVictim(Victim victim) {
  if (!victim.inode || !victim.path) return;
  const Access access = inodes_.AccessOf(*victim.inode);
  // The name may have come to another file meanwhile.
  if (access.path || FileHandle::Of(victim.path.get(), "") != access.handle) return;
  inodes_.KeepOpen(*victim.inode, victim.mount, std::move(victim.path));
}

int FuseServer::RemoveName(Request& request, int flags) {
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  Victim victim = FindVictim(directory.fd(), name);
  if (unlinkat(directory.fd(), name, flags) != 0) return errno;
  KeepVictim(std::move(victim));
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
  const auto from = NodeOf(request);
  const auto to = inodes_.Find(new_parent);
  if (!from || !to) return ESTALE;
  const InodePath from_path = PathOf(*from);
  if (!from_path) return errno;
  const InodePath to_path = PathOf(*to);
  if (!to_path) return errno;
  const bool replaces = (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) == 0;
  Victim victim = replaces ? FindVictim(to_path.fd(), new_name) : Victim();
  if (renameat2(from_path.fd(), old_name, to_path.fd(), new_name, flags) != 0) return errno;
  KeepVictim(std::move(victim));
  return 0;
}

int FuseServer::PutMade(UniqueFd file, const Mount& mount, Reply& reply) {
  Found found;
  if (const int error = EnterFile(file.get(), mount, &found); error != 0) return error;
  fuse_entry_out entry;
  FillEntry(found, &entry);
  reply.Put(entry);
  return PutOpen(std::move(file), mount, reply);
}

int FuseServer::Create(Request& request, Reply& reply) {
  fuse_create_in in;
  if (!request.Take(&in)) return EINVAL;
  const char* name = request.TakeString();
  if (!IsName(name)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  SetUmask(in.umask);
  UniqueFd file(openat(directory.fd(), name, HostOpenFlags(in.flags) | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                       in.mode & 07777));
  // The guest believes that there is no such file, so it has not checked whether the caller may open this one. ESTALE
  // makes its kernel look again, and then open what is there as such.
  if (!file) return errno == EEXIST && (in.flags & O_EXCL) == 0 ? ESTALE : errno;
  return PutMade(std::move(file), directory.path.mount(), reply);
}

int FuseServer::TemporaryFile(Request& request, Reply& reply) {
  fuse_create_in in;
  if (!request.Take(&in)) return EINVAL;
  Reached directory;
  if (const int error = Reach(request, &directory); error != 0) return error;
  SetUmask(in.umask);
  // O_EXCL (it shall never have a name) is the guest's kernel's to keep.
  UniqueFd file(
      openat(directory.fd(), ".", (HostOpenFlags(in.flags) & ~O_TRUNC) | O_TMPFILE | O_CLOEXEC, in.mode & 07777));
  if (!file) return errno;
  return PutMade(std::move(file), directory.path.mount(), reply);
}

}  // namespace kata::fsd
