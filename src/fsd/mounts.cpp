// SPDX-License-Identifier: Apache-2.0
#include "fsd/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

namespace kata::fsd {
namespace {

// By statfs(2). What is not in the list and has late errors all the same tells them to fsync(2) alone.
bool IsRemote(long type) {
  switch (static_cast<uint32_t>(type)) {
    case NFS_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case FUSE_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC:
    case V9FS_MAGIC:
    case AFS_SUPER_MAGIC:
    case AFS_FS_MAGIC:
    case CODA_SUPER_MAGIC:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::shared_ptr<Mount> MountTable::Get(uint64_t id, uint64_t device, int root) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_id_.find(id); found != by_id_.end()) {
    if (auto mount = found->second.lock()) return mount;
  }
  auto mount = std::make_shared<Mount>();
  mount->root.Reset(fcntl(root, F_DUPFD_CLOEXEC, 0));
  struct statvfs status = {};
  struct statfs type = {};
  if (!mount->root || fstatvfs(root, &status) != 0 || fstatfs(root, &type) != 0) return nullptr;
  mount->id = id;
  mount->writable = (status.f_flag & ST_RDONLY) == 0;
  mount->remote = IsRemote(type.f_type);
  mount->group = next_group_++;
  mount->device = devices_.try_emplace(device, devices_.size() + 1).first->second;
  std::erase_if(by_id_, [](const auto& entry) { return entry.second.expired(); });
  by_id_[id] = mount;
  return mount;
}

std::shared_ptr<Mount> MountTable::Find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.lock();
}

}  // namespace kata::fsd
