// SPDX-License-Identifier: Apache-2.0
#include "fsd/inode.h"

#include <errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace kata::fsd {
namespace {

// More than a guest ever counts; one that does never gets rid of the inode.
constexpr uint32_t kMaxLookups = UINT32_MAX;

}  // namespace

size_t InodeByKey::Hash(const InodeKey& key) noexcept {
  // Numbers of inodes are dense; the multiplier spreads them.
  uint64_t value = key.number ^ (key.device << 40U) ^ (static_cast<uint64_t>(key.group) << 20U);
  value *= 0x9e3779b97f4a7c15U;
  return value ^ (value >> 32U);
}

void InodeTable::SetRoot(const InodeKey& key, mode_t type, Access access) {
  const std::lock_guard lock(mutex_);
  auto root = std::make_shared<Inode>(kRootNode, key, type & S_IFMT);
  root->access = std::move(access);
  root->nameless = true;
  by_key_.insert(root.get());
  by_id_.insert(std::move(root));
}

std::shared_ptr<Inode> InodeTable::Find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : *found;
}

std::shared_ptr<Inode> InodeTable::EnterKnown(const InodeKey& key, const Mount& mount,
                                              const std::shared_ptr<Inode>& parent, std::string_view name,
                                              const std::function<FileHandle()>& handle) {
  std::unique_lock lock(mutex_);
  auto found = by_key_.find(key);
  if (found == by_key_.end() || Better(mount, *(*found)->access.mount)) return nullptr;
  Inode& inode = **found;
  if (inode.access.path) {
    // It may have lost the name by which it was found before.
    if (&mount == inode.access.mount.get() && !mount.anchor) SetDentry(inode, parent, name);
    const auto closed = Settle(inode);
    auto counted = Counted(inode);
    lock.unlock();
    return counted;
  }
  if (!inode.access.by_handle()) {
    if (!IsAt(inode, *parent, name)) return nullptr;
    SetDentry(inode, parent, name);
    return Counted(inode);
  }
  // A system call, so without the lock.
  const FileHandle known = inode.access.handle;
  lock.unlock();
  if (handle() != known) return nullptr;
  lock.lock();
  found = by_key_.find(key);
  if (found == by_key_.end() || (*found)->access.handle != known) return nullptr;
  return Counted(**found);
}

std::shared_ptr<Inode> InodeTable::EnterOrMake(const InodeKey& key, mode_t type, Access access, const Inode* open) {
  // Closed without the lock.
  Access old;
  std::shared_ptr<const OpenPath> closed;
  const std::lock_guard lock(mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    Inode& inode = **found;
    const bool same_handle = access.handle && inode.access.handle == access.handle;
    const bool same_dentry = access.dentry && IsAt(inode, *access.dentry->parent, access.dentry->name);
    // Otherwise the number is that of another file now. The guest may still ask for the old one, by its id.
    if (inode.access.path || &inode == open || same_handle || same_dentry) {
      if (Better(*access.mount, *inode.access.mount)) {
        TakeOut(inode);
        old = std::exchange(inode.access, std::move(access));
        if (inode.pins > 0 && !inode.access.path) inode.access.path = old.path;
        inode.nameless = !inode.access.by_handle() && !inode.access.dentry;
      } else if (access.mount == inode.access.mount && access.dentry) {
        inode.access.dentry = std::move(access.dentry);
        inode.nameless = false;
      }
      closed = Settle(inode);
      return Counted(inode);
    }
    by_key_.erase(found);
  }
  if (by_id_.size() >= limit_) {
    errno = ENFILE;
    return nullptr;
  }
  auto inode = std::make_shared<Inode>(next_++, key, type & S_IFMT);
  inode->lookups = 1;
  inode->access = std::move(access);
  inode->nameless = !inode->access.by_handle() && !inode->access.dentry;
  by_key_.insert(inode.get());
  by_id_.insert(inode);
  closed = Settle(*inode);
  return inode;
}

std::shared_ptr<Inode> InodeTable::FindKey(const InodeKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : *by_id_.find((*found)->id);
}

std::shared_ptr<Inode> InodeTable::Counted(Inode& inode) {
  if (inode.lookups < kMaxLookups) ++inode.lookups;
  return *by_id_.find(inode.id);
}

void InodeTable::Forget(uint64_t id, uint64_t count) {
  // Closed without the lock.
  std::shared_ptr<Inode> forgotten;
  Access access;
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || id == kRootNode) return;
  Inode& inode = **found;
  if (inode.lookups == kMaxLookups) return;
  inode.lookups -= static_cast<uint32_t>(std::min<uint64_t>(inode.lookups, count));
  if (inode.lookups > 0) return;
  if (const auto by_key = by_key_.find(inode.key); by_key != by_key_.end() && *by_key == &inode) by_key_.erase(by_key);
  TakeOut(inode);
  opened_.erase(id);
  forgotten = std::move(by_id_.extract(found).value());
  // Dentries of others may name it. Dentries that are out of date may even refer to each other in a circle.
  access.path = std::move(inode.access.path);
  access.dentry = std::move(inode.access.dentry);
}

void InodeTable::Clear() {
  decltype(by_id_) forgotten;
  std::vector<std::shared_ptr<const Dentry>> dentries;
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Inode> root = *by_id_.find(kRootNode);
  for (auto& list : recent_) list.clear();
  for (const auto& inode : by_id_) {
    inode->recent = false;
    dentries.push_back(std::move(inode->access.dentry));
  }
  opened_.clear();
  forgotten.swap(by_id_);
  by_key_.clear();
  by_key_.insert(root.get());
  by_id_.insert(std::move(root));
}

size_t InodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return by_id_.size();
}

Access InodeTable::AccessOf(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return inode.access;
}

}  // namespace kata::fsd
