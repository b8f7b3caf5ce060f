// SPDX-License-Identifier: Apache-2.0
// InodeTable: which inodes are open.
#include <utility>
#include <vector>

#include "fsd/inode.h"

namespace kata::fsd {

Inode* InodeTable::Known(const Inode& inode) const {
  const auto found = by_id_.find(inode.id);
  return found == by_id_.end() ? nullptr : found->get();
}

bool InodeTable::IsAt(const Inode& inode, const Inode& parent, std::string_view name) {
  const auto& dentry = inode.access.dentry;
  // A directory that was forgotten and found again is another object.
  return dentry && dentry->parent->key == parent.key && dentry->name == name;
}

void InodeTable::SetDentry(Inode& inode, const std::shared_ptr<Inode>& parent, std::string_view name) {
  const auto& dentry = inode.access.dentry;
  if (!dentry || dentry->parent != parent || dentry->name != name) {
    inode.access.dentry = std::make_shared<const Dentry>(Dentry{parent, std::string(name)});
  }
  inode.nameless = false;
}

void InodeTable::TakeOut(Inode& inode) {
  if (!inode.recent) return;
  recent_.at(inode.access.by_handle() ? 1 : 0).erase(inode.position);
  inode.recent = false;
}

void InodeTable::Renew(Inode& inode) {
  std::list<Inode*>& list = recent_.at(inode.access.by_handle() ? 1 : 0);
  list.splice(list.begin(), list, inode.position);
}

std::shared_ptr<const OpenPath> InodeTable::Settle(Inode& inode) {
  const size_t kind = inode.access.by_handle() ? 1 : 0;
  std::list<Inode*>& list = recent_.at(kind);
  if (!inode.access.path || inode.nameless || inode.pins > 0) {
    TakeOut(inode);
    return nullptr;
  }
  if (!reserve_.MayCache(inode.access.path->fd.get())) {
    TakeOut(inode);
    return std::move(inode.access.path);
  }
  if (inode.recent) {
    Renew(inode);
    return nullptr;
  }
  list.push_front(&inode);
  inode.position = list.begin();
  inode.recent = true;
  if (list.size() <= max_recent_.at(kind)) return nullptr;
  Inode& oldest = *list.back();
  TakeOut(oldest);
  return std::move(oldest.access.path);
}

std::shared_ptr<const OpenPath> InodeTable::UsePath(const Inode& inode) {
  const std::lock_guard lock(mutex_);
  Inode* known = Known(inode);
  if (known != nullptr && known->recent) Renew(*known);
  return inode.access.path;
}

void InodeTable::Keep(const Inode& inode, std::shared_ptr<const OpenPath> path) {
  std::shared_ptr<const OpenPath> closed;
  const std::lock_guard lock(mutex_);
  Inode* known = Known(inode);
  if (known == nullptr || known->access.path) return;
  known->access.path = std::move(path);
  closed = Settle(*known);
}

void InodeTable::Close(const Inode& inode) {
  std::shared_ptr<const OpenPath> closed;
  const std::lock_guard lock(mutex_);
  Inode* known = Known(inode);
  if (known == nullptr || !known->recent) return;
  TakeOut(*known);
  closed = std::move(known->access.path);
}

void InodeTable::KeepNameless(const Inode& inode, std::shared_ptr<const OpenPath> path) {
  const std::lock_guard lock(mutex_);
  Inode* known = Known(inode);
  if (known == nullptr) return;
  TakeOut(*known);
  known->nameless = true;
  if (known->access.path) return;
  known->access.mount = path->mount;
  known->access.path = std::move(path);
}

void InodeTable::Pin(const Inode& inode, std::shared_ptr<const OpenPath> path) {
  std::shared_ptr<const OpenPath> closed;
  const std::lock_guard lock(mutex_);
  Inode* known = Known(inode);
  if (known == nullptr) return;
  ++known->pins;
  if (!known->access.path) known->access.path = std::move(path);
  closed = Settle(*known);
}

void InodeTable::Unpin(const Inode& inode) {
  std::shared_ptr<const OpenPath> closed;
  const std::lock_guard lock(mutex_);
  Inode* known = Known(inode);
  if (known == nullptr || known->pins == 0) return;
  --known->pins;
  closed = Settle(*known);
}

void InodeTable::NoteOpen(const Inode& inode, const std::shared_ptr<const OpenPath>& file) {
  const std::lock_guard lock(mutex_);
  if (Known(inode) != nullptr) opened_[inode.id] = file;
}

void InodeTable::NoteClosed(const Inode& inode, const OpenPath& file) {
  const std::lock_guard lock(mutex_);
  const auto found = opened_.find(inode.id);
  if (found != opened_.end() && found->second.lock().get() == &file) opened_.erase(found);
}

std::shared_ptr<const OpenPath> InodeTable::OpenOf(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  const auto found = opened_.find(inode.id);
  return found == opened_.end() ? nullptr : found->second.lock();
}

void InodeTable::CloseRecent() {
  std::vector<std::shared_ptr<const OpenPath>> closed;
  const std::lock_guard lock(mutex_);
  for (auto& list : recent_) {
    while (!list.empty()) {
      Inode& inode = *list.back();
      TakeOut(inode);
      closed.push_back(std::move(inode.access.path));
    }
  }
}

void InodeTable::Move(const InodeKey& key, const std::shared_ptr<Inode>& parent, std::string_view name) {
  std::shared_ptr<const Dentry> old;
  std::shared_ptr<const OpenPath> closed;
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end() || !(*found)->access.dentry) return;
  old = (*found)->access.dentry;
  SetDentry(**found, parent, name);
  closed = Settle(**found);
}

}  // namespace kata::fsd
