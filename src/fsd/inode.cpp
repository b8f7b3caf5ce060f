// SPDX-License-Identifier: Apache-2.0
#include "fsd/inode.h"

#include <errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace kata::fsd {
namespace {

// More than a guest ever counts, so that a wrong count cannot overflow.
constexpr uint64_t kMaxLookups = UINT64_MAX / 2;

}  // namespace

size_t InodeKeyHash::operator()(const InodeKey& key) const {
  // Numbers of inodes are dense; the multiplier spreads them.
  uint64_t value = key.number ^ (key.device << 40U) ^ (static_cast<uint64_t>(key.group) << 20U);
  value *= 0x9e3779b97f4a7c15U;
  return value ^ (value >> 32U);
}

void InodeTable::SetRoot(const InodeKey& key, mode_t type, Access access) {
  const std::lock_guard lock(mutex_);
  auto root = std::make_shared<Inode>(kRootNode, key, type & S_IFMT);
  root->access = std::move(access);
  by_key_[key] = root.get();
  by_id_[kRootNode] = std::move(root);
}

std::shared_ptr<Inode> InodeTable::Find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::shared_ptr<Inode> InodeTable::EnterKnown(const InodeKey& key, const Mount& mount,
                                              const std::function<FileHandle()>& handle) {
  std::unique_lock lock(mutex_);
  auto found = by_key_.find(key);
  if (found == by_key_.end() || Better(mount, *found->second->access.mount)) return nullptr;
  if (found->second->access.path) return Counted(*found->second);
  // A system call, so without the lock.
  const FileHandle known = found->second->access.handle;
  lock.unlock();
  if (handle() != known) return nullptr;
  lock.lock();
  found = by_key_.find(key);
  if (found == by_key_.end() || found->second->access.handle != known) return nullptr;
  return Counted(*found->second);
}

std::shared_ptr<Inode> InodeTable::EnterOrMake(const InodeKey& key, mode_t type, Access access) {
  Access old;  // closed without the lock
  const std::lock_guard lock(mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    Inode& inode = *found->second;
    // Otherwise the number is that of another file now. The guest may still ask for the old one, by its id.
    if (inode.access.path || inode.access.handle == access.handle) {
      if (Better(*access.mount, *inode.access.mount)) old = std::exchange(inode.access, std::move(access));
      return Counted(inode);
    }
  }
  if (by_id_.size() >= limit_) {
    errno = ENFILE;
    return nullptr;
  }
  auto inode = std::make_shared<Inode>(next_++, key, type & S_IFMT);
  inode->lookups = 1;
  inode->access = std::move(access);
  by_key_[key] = inode.get();
  by_id_[inode->id] = inode;
  return inode;
}

std::shared_ptr<Inode> InodeTable::FindKey(const InodeKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : by_id_.at(found->second->id);
}

std::shared_ptr<Inode> InodeTable::Counted(Inode& inode) {
  inode.lookups = std::min(inode.lookups + 1, kMaxLookups);
  return by_id_.at(inode.id);
}

void InodeTable::Forget(uint64_t id, uint64_t count) {
  std::shared_ptr<Inode> forgotten;  // closes its descriptor without the lock
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || id == kRootNode) return;
  Inode& inode = *found->second;
  inode.lookups -= std::min(inode.lookups, count);
  if (inode.lookups > 0) return;
  forgotten = std::move(found->second);
  by_id_.erase(found);
  if (const auto by_key = by_key_.find(inode.key); by_key != by_key_.end() && by_key->second == &inode) {
    by_key_.erase(by_key);
  }
}

void InodeTable::Clear() {
  std::vector<std::shared_ptr<Inode>> forgotten;
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Inode> root = by_id_.at(kRootNode);
  forgotten.reserve(by_id_.size());
  for (auto& [id, inode] : by_id_) forgotten.push_back(std::move(inode));
  by_id_.clear();
  by_key_.clear();
  by_key_[root->key] = root.get();
  by_id_[kRootNode] = std::move(root);
}

size_t InodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return by_id_.size();
}

Access InodeTable::AccessOf(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return inode.access;
}

void InodeTable::KeepOpen(const Inode& inode, const std::shared_ptr<Mount>& mount, UniqueFd path) {
  auto kept = std::make_shared<const UniqueFd>(std::move(path));
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(inode.id);
  if (found == by_id_.end() || found->second->access.path) return;
  found->second->access.mount = mount;
  found->second->access.path = std::move(kept);
}

}  // namespace kata::fsd
