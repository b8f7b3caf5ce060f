// SPDX-License-Identifier: Apache-2.0
#include "fsd/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/files.h"
#include "fsd/file_handle.h"

namespace kata::fsd {
namespace {

constexpr uint32_t kZfsMagic = 0x2fc12fc1;

// By statfs(2). What is not in the list and has late errors all the same tells them to fsync(2) alone.
bool IsRemote(uint32_t type) {
  switch (type) {
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

// File systems whose handles are good as long as the file lives. Others make some that are lost with a cache.
bool HasHandles(uint32_t type) {
  switch (type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case F2FS_SUPER_MAGIC:
    case kZfsMagic:
      return true;
    default:
      return false;
  }
}

// The root of a mount, open so that handles can be opened with it. Invalid: handles cannot be used here.
UniqueFd OpenForHandles(int path, uint32_t type) {
  struct stat status = {};
  if (!HasHandles(type) || fstat(path, &status) != 0 || !S_ISDIR(status.st_mode)) return {};
  UniqueFd root(openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return {};
  const FileHandle handle = FileHandle::Of(root.get(), "");
  // Without CAP_DAC_READ_SEARCH in the first user namespace that is refused.
  if (!handle || !handle.Open(root.get(), O_PATH)) return {};
  return root;
}

}  // namespace

bool Better(const Mount& mount, const Mount& than) {
  if (mount.writable != than.writable) return mount.writable;
  // The larger one, and of equal ones always the same: rename(2) and link(2) work within a mount only.
  return mount.path_length != than.path_length ? mount.path_length < than.path_length : mount.id < than.id;
}

std::shared_ptr<Mount> MountTable::Get(uint64_t id, int path) {
  if (auto known = Find(id)) return known;
  // Without the lock, which each lookup needs: these calls wait for the file system, which may wait for a disk or for
  // another computer.
  auto mount = std::make_shared<Mount>();
  struct statvfs status = {};
  struct statfs type = {};
  if (fstatvfs(path, &status) != 0 || fstatfs(path, &type) != 0) return nullptr;
  mount->root = OpenForHandles(path, static_cast<uint32_t>(type.f_type));
  mount->handles = HasHandles(static_cast<uint32_t>(type.f_type));
  mount->anchor = mount->root.valid();
  if (!mount->root) mount->root.Reset(fcntl(path, F_DUPFD_CLOEXEC, 0));
  if (!mount->root) return nullptr;
  mount->id = id;
  mount->writable = (status.f_flag & ST_RDONLY) == 0;
  mount->remote = IsRemote(static_cast<uint32_t>(type.f_type));
  const std::lock_guard lock(mutex_);
  // Another thread may have come across it, too.
  if (auto known = FindKnown(id)) return known;
  JoinGroup(mount);
  std::erase_if(by_id_, [](const auto& entry) { return entry.second.expired(); });
  by_id_[id] = mount;
  return mount;
}

std::vector<std::shared_ptr<Mount>> MountTable::Known() const {
  std::vector<std::shared_ptr<Mount>> known;
  for (const auto& [id, weak] : by_id_) {
    if (auto mount = weak.lock()) known.push_back(std::move(mount));
  }
  return known;
}

void MountTable::JoinGroup(const std::shared_ptr<Mount>& mount) {
  mount->group = next_group_++;
  // The kernel writes it from memory, so it waits for no disk.
  const UniqueFd file(openat(proc_self_, "mountinfo", O_RDONLY | O_CLOEXEC));
  if (!file) return;
  const auto text = ReadAll(file.get());
  if (!text) return;
  const std::vector<MountLine> lines = ParseMountInfo(*text);
  mount->tree = ShownTreeOf(mount->id, lines);
  if (!mount->tree) return;
  mount->path_length = mount->tree->root.size();
  // Mounts may have come below the others since. A mount that is no longer there keeps its group, without others.
  std::map<uint32_t, std::vector<std::shared_ptr<Mount>>> groups;
  for (const auto& other : Known()) {
    other->tree = ShownTreeOf(other->id, lines);
    if (other->tree && other->tree->device == mount->tree->device) groups[other->group].push_back(other);
  }
  for (auto& [group, members] : groups) {
    const auto agrees = [&mount](const auto& member) { return Agree(*mount->tree, *member->tree); };
    if (!std::all_of(members.begin(), members.end(), agrees)) continue;
    mount->group = group;
    members.push_back(mount);
    for (const auto& member : members) {
      std::shared_ptr<Mount> best = member;
      for (const auto& other : members) {
        if (Contains(*other->tree, *member->tree) && Better(*other, *best)) best = other;
      }
      // None for itself: a mount does not keep itself.
      member->best = best == member ? std::weak_ptr<Mount>() : best;
    }
    return;
  }
}

std::shared_ptr<Mount> MountTable::FindKnown(uint64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.lock();
}

std::shared_ptr<Mount> MountTable::Find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  return FindKnown(id);
}

std::vector<std::shared_ptr<Mount>> MountTable::All() const {
  const std::lock_guard lock(mutex_);
  return Known();
}

std::shared_ptr<Mount> MountTable::BestOf(const std::shared_ptr<Mount>& mount) const {
  const std::lock_guard lock(mutex_);
  auto other = mount->best.lock();
  return other ? other : mount;
}

uint16_t MountTable::NumberOf(uint64_t device) {
  const std::lock_guard lock(mutex_);
  if (const auto found = numbers_.find(device); found != numbers_.end()) return found->second;
  if (numbers_.size() >= std::numeric_limits<uint16_t>::max()) return 0;
  return numbers_[device] = static_cast<uint16_t>(numbers_.size() + 1);
}

}  // namespace kata::fsd
