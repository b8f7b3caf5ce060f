// SPDX-License-Identifier: Apache-2.0
// FuseServer: attributes, birth times, and statfs(2).
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <limits>

#include "fsd/fuse_server_parts.h"

namespace kata::fsd {
namespace {

timespec TimeOf(bool set, bool now, uint64_t seconds, uint32_t nanoseconds) {
  if (!set) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  if (now) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  return {.tv_sec = static_cast<time_t>(seconds), .tv_nsec = nanoseconds};
}

}  // namespace

int FuseServer::PutAttributes(int fd, Reply& reply) {
  struct statx status = {};
  if (const int error = StatusOf(fd, &status); error != 0) return error;
  fuse_attr_out out = {.attr_valid = timeout_};
  FillAttributes(status, &out.attr);
  if (S_ISREG(status.stx_mode) && LacksCapability(fd)) out.attr.flags |= kAttrNoCapability;
  reply.Put(out);
  return 0;
}

bool FuseServer::LacksCapability(int fd) const {
  return EnterProc() == 0 && getxattr(FdName(fd).c_str(), "security.capability", nullptr, 0) < 0 &&
         (errno == ENODATA || errno == EOPNOTSUPP);
}

int FuseServer::GetAttributes(Request& request, Reply& reply) {
  fuse_getattr_in in;
  if (!request.Take(&in)) return EINVAL;
  if ((in.getattr_flags & FUSE_GETATTR_FH) != 0) {
    if (const auto file = files_.Find(in.fh)) return PutAttributes(file->fd(), reply);
  }
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  const InodePath path = PathOf(*inode);
  if (!path) return errno;
  return PutAttributes(path.fd(), reply);
}

int FuseServer::SetSize(const Inode& inode, const InodePath& path, const fuse_setattr_in& wanted) {
  if (!S_ISREG(inode.type)) return EINVAL;
  if (wanted.size > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) return EFBIG;
  const auto size = static_cast<off_t>(wanted.size);
  if ((wanted.valid & FATTR_FH) != 0) {
    if (const auto file = files_.Find(wanted.fh)) return ftruncate(file->fd(), size) == 0 ? 0 : errno;
  }
  if (const int error = EnterProc(); error != 0) return error;
  return truncate(FdName(path.fd()).c_str(), size) == 0 ? 0 : errno;
}

int FuseServer::SetAttributes(Request& request, Reply& reply) {
  fuse_setattr_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  const InodePath path = PathOf(*inode);
  if (!path) return errno;
  const FdName name(path.fd());
  // First the owner: that clears set-user-id bits, which a mode of the same request would set. Last the times, since
  // the others change them.
  if ((in.valid & (FATTR_UID | FATTR_GID)) != 0) {
    const uid_t uid = (in.valid & FATTR_UID) != 0 ? in.uid : static_cast<uid_t>(-1);
    const gid_t gid = (in.valid & FATTR_GID) != 0 ? in.gid : static_cast<gid_t>(-1);
    if (fchownat(path.fd(), "", uid, gid, AT_EMPTY_PATH) != 0) return errno;
  }
  if ((in.valid & FATTR_MODE) != 0) {
    if (S_ISLNK(inode->type)) return EOPNOTSUPP;
    if (fchmodat(proc_fds_.get(), name.c_str(), in.mode & 07777, 0) != 0) return errno;
  }
  if ((in.valid & FATTR_SIZE) != 0) {
    const bool kill = (in.valid & FATTR_KILL_SUIDGID) != 0;
    if (const int error = Become(CallerOf(request, !kill)); error != 0) return error;
    if (const int error = SetSize(*inode, path, in); error != 0) return error;
  }
  if ((in.valid & (FATTR_ATIME | FATTR_MTIME)) != 0) {
    const timespec times[2] = {
        TimeOf((in.valid & FATTR_ATIME) != 0, (in.valid & FATTR_ATIME_NOW) != 0, in.atime, in.atimensec),
        TimeOf((in.valid & FATTR_MTIME) != 0, (in.valid & FATTR_MTIME_NOW) != 0, in.mtime, in.mtimensec)};
    if (utimensat(proc_fds_.get(), name.c_str(), times, 0) != 0) return errno;
  }
  return PutAttributes(path.fd(), reply);
}

int FuseServer::BirthTime(Request& request, Reply& reply) {
  Reached file;
  if (const int error = Reach(request, &file); error != 0) return error;
  struct statx status = {};
  if (statx(file.fd(), "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BTIME, &status) != 0) return errno;
  reply.Put(BirthTimeOut{.seconds = static_cast<uint64_t>(status.stx_btime.tv_sec),
                         .nanoseconds = status.stx_btime.tv_nsec,
                         .known = (status.stx_mask & STATX_BTIME) != 0 ? 1U : 0U});
  return 0;
}

namespace {

// The type by which programs tell what they can rely on: tail(1) asks inotify on a file system that it knows to be
// local, and pathconf(3) knows limits. Only types of which nobody expects calls that FUSE has not, as of Btrfs.
uint32_t ShownType(const struct statfs& status) {
  switch (status.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
      return static_cast<uint32_t>(status.f_type);
    default:
      return 0;
  }
}

}  // namespace

int FuseServer::StatFs(Request& request, Reply& reply) {
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  const InodePath path = PathOf(*inode);
  if (!path) return errno;
  struct statfs status = {};
  if (fstatfs(path.fd(), &status) != 0) return errno;
  fuse_statfs_out out = {};
  out.st = {.blocks = status.f_blocks,
            .bfree = status.f_bfree,
            .bavail = status.f_bavail,
            .files = status.f_files,
            .ffree = status.f_ffree,
            .bsize = static_cast<uint32_t>(status.f_bsize),
            .namelen = static_cast<uint32_t>(status.f_namelen),
            .frsize = static_cast<uint32_t>(status.f_frsize)};
  out.st.spare[kStatFsType] = ShownType(status);
  reply.Put(out);
  return 0;
}

}  // namespace kata::fsd
