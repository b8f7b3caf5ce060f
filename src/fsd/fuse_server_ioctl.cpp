// SPDX-License-Identifier: Apache-2.0
// FuseServer: flags of files (ioctl_iflags(2)).
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "fsd/fuse_server_parts.h"

namespace kata::fsd {
namespace {

// These return 0 or errno.
template <typename T>
int GetFlags(int fd, unsigned long command, Reply& reply) {
  T flags = {};
  if (ioctl(fd, command, &flags) != 0) return errno;
  reply.Put(fuse_ioctl_out{});
  reply.Put(flags);
  return 0;
}

// A guest that could give its files to another project, or let new ones not inherit it, would not be held by that
// project's quota. The host's kernel lets the owner of a file do both.
//
// Other flags are the owner's there, too, and change how the host keeps that file alone (FS_NOCOW_FL, FS_COMPR_FL), or
// need a capability that this process does not have (FS_IMMUTABLE_FL, FS_APPEND_FL, FS_JOURNAL_DATA_FL).
int SetFlags(int fd, Request& request, Reply& reply) {
  // The kernel reads and writes an int, whatever the number of the call says.
  uint32_t wanted = 0;
  uint32_t now = 0;
  if (!request.Take(&wanted)) return EINVAL;
  if (ioctl(fd, FS_IOC_GETFLAGS, &now) != 0) return errno;
  if (((wanted ^ now) & static_cast<uint32_t>(FS_PROJINHERIT_FL)) != 0) return EPERM;
  if (ioctl(fd, FS_IOC_SETFLAGS, &wanted) != 0) return errno;
  reply.Put(fuse_ioctl_out{});
  return 0;
}

int SetExtendedFlags(int fd, Request& request, Reply& reply) {
  fsxattr wanted;
  fsxattr now = {};
  if (!request.Take(&wanted)) return EINVAL;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &now) != 0) return errno;
  if (wanted.fsx_projid != now.fsx_projid ||
      ((wanted.fsx_xflags ^ now.fsx_xflags) & static_cast<uint32_t>(FS_XFLAG_PROJINHERIT)) != 0) {
    return EPERM;
  }
  if (ioctl(fd, FS_IOC_FSSETXATTR, &wanted) != 0) return errno;
  reply.Put(fuse_ioctl_out{});
  return 0;
}

}  // namespace

int FuseServer::Ioctl(Request& request, Reply& reply) {
  fuse_ioctl_in in;
  if (!request.Take(&in)) return EINVAL;
  int fd = -1;
  std::shared_ptr<OpenFile> file;
  std::shared_ptr<OpenDirectory> directory;
  if ((in.flags & FUSE_IOCTL_DIR) != 0) {
    directory = directories_.Find(in.fh);
    if (directory) fd = directory->fd();
  } else {
    file = files_.Find(in.fh);
    if (file) fd = file->fd();
  }
  if (fd < 0) return EBADF;
  switch (in.cmd) {
    case FS_IOC_GETFLAGS:
      return GetFlags<uint32_t>(fd, in.cmd, reply);
    case FS_IOC_SETFLAGS:
      return SetFlags(fd, request, reply);
    case FS_IOC_FSGETXATTR:
      return GetFlags<fsxattr>(fd, in.cmd, reply);
    case FS_IOC_FSSETXATTR:
      return SetExtendedFlags(fd, request, reply);
    default:
      return ENOTTY;
  }
}

}  // namespace kata::fsd
