// SPDX-License-Identifier: Apache-2.0
// What the sources of FuseServer share.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "fsd/fd_name.h"
#include "fsd/fuse_extensions.h"
#include "fsd/fuse_server.h"

namespace kata::fsd {

// The data of one READ or WRITE; INIT tells it to the guest.
inline constexpr uint32_t kMaxTransfer = 1U << 20U;
inline constexpr unsigned kStatusMask = STATX_BASIC_STATS | STATX_MNT_ID;

// A descriptor of an inode, O_PATH or more: of one whose name has gone it may be that of an open file. Empty: errno
// says why.
class InodePath {
 public:
  InodePath() = default;
  explicit InodePath(std::shared_ptr<const OpenPath> path) : path_(std::move(path)) {}
  InodePath(std::shared_ptr<Mount> mount, UniqueFd fd)
      : path_(std::make_shared<const OpenPath>(std::move(mount), std::move(fd))) {}

  explicit operator bool() const { return path_ != nullptr; }
  int fd() const { return path_->fd.get(); }
  // The mount in which it is open.
  const Mount& mount() const { return *path_->mount; }
  const std::shared_ptr<const OpenPath>& shared() const { return path_; }

 private:
  std::shared_ptr<const OpenPath> path_;
};

// The inode that a lookup found, which the guest counts from now on.
struct FuseServer::Found {
  std::shared_ptr<Inode> inode;
  struct statx status = {};
  bool submount = false;
  uint16_t device = 0;  // MountTable::NumberOf
};

// The node of a request, opened.
struct FuseServer::Reached {
  std::shared_ptr<Inode> inode;
  InodePath path;

  int fd() const { return path.fd(); }
};

// See FindVictim. Empty: nothing has to be kept.
struct FuseServer::Victim {
  std::shared_ptr<Inode> inode;
  std::shared_ptr<const OpenPath> path;
};

// A name that leads nowhere but into the directory itself. The kernel of a guest sends no others.
bool IsName(const char* name);

inline uint64_t DeviceOf(const struct statx& status) {
  return (static_cast<uint64_t>(status.stx_dev_major) << 32U) | status.stx_dev_minor;
}

inline InodeKey InodeKeyOf(const Mount& mount, const struct statx& status) {
  return {.device = DeviceOf(status), .number = status.stx_ino, .group = mount.group};
}

// statx(2) of an open file. 0 or errno.
inline int StatusOf(int fd, struct statx* status) {
  return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, kStatusMask, status) == 0 ? 0 : errno;
}

}  // namespace kata::fsd
