// SPDX-License-Identifier: Apache-2.0
// Watcher: which files are watched.
#include "fsd/watcher.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "fsd/eventfd.h"
#include "fsd/fd_name.h"

namespace kata::fsd {
namespace {

constexpr size_t kMaxUnable = 256;

}  // namespace

Watcher::Watcher(std::unique_ptr<HostChanges> changes, int proc_fds, Opener open, Options options)
    : changes_(std::move(changes)), proc_fds_(proc_fds), open_(std::move(open)), options_(options) {}

Result<std::unique_ptr<Watcher>> Watcher::Create(std::unique_ptr<HostChanges> changes, int proc_fds, Opener open,
                                                 Options options) {
  std::unique_ptr<Watcher> watcher(new Watcher(std::move(changes), proc_fds, std::move(open), options));
  watcher->wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watcher->wake_) return FailErrno("cannot make an eventfd");
  try {
    watcher->thread_ = std::thread([self = watcher.get()] { self->Run(); });
  } catch (const std::system_error& error) {
    return FailWith(error.code().value(), "cannot start a thread");
  }
  return watcher;
}

Watcher::~Watcher() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  Notify(wake_.get());
  if (thread_.joinable()) thread_.join();
}

// A thread's turn with a file: meanwhile no other one makes or ends a mark of it. These calls may wait for a disk or
// for another computer, and each lookup needs mutex_, so they are made without it. A thread has one turn at a time.
class Watcher::Turn {
 public:
  Turn(Watcher& watcher, std::string fid, Lock& lock) : watcher_(watcher), fid_(std::move(fid)), lock_(lock) {
    watcher_.turn_over_.wait(lock_, [this] { return !watcher_.turns_.contains(fid_); });
    watcher_.turns_.insert(fid_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (!lock_.owns_lock()) lock_.lock();
    watcher_.turns_.erase(fid_);
    watcher_.turn_over_.notify_all();
  }

 private:
  Watcher& watcher_;
  const std::string fid_;
  Lock& lock_;
};

int Watcher::Mark(int path, uint64_t mask) const { return changes_->Add(proc_fds_, FdName(path).c_str(), mask); }

void Watcher::Unmark(int path, uint64_t mask) const { (void)changes_->Remove(proc_fds_, FdName(path).c_str(), mask); }

// A file that cannot be opened any more is gone, and what was to be told of it with it.
void Watcher::Unmark(const Inode& inode, uint64_t mask) const {
  if (const auto path = open_(inode)) Unmark(path->fd.get(), mask);
}

void Watcher::NoteUnable(const Inode& inode) {
  if (unable_.size() < kMaxUnable) unable_.insert(inode.key.device);
}

// Empty: nothing can be told of the file, and errno says why.
std::string Watcher::FidOf(const Inode& inode, int path, Lock& lock) {
  if (const auto found = by_node_.find(inode.id); found != by_node_.end()) return found->second.fid;
  errno = EOPNOTSUPP;
  if (unable_.contains(inode.key.device)) return {};
  lock.unlock();
  std::string fid = HostChanges::FidOf(path);
  const int error = errno;
  lock.lock();
  if (fid.empty()) NoteUnable(inode);
  errno = error;
  return fid;
}

// In the file's turn.
Watcher::Watched& Watcher::Enter(const std::shared_ptr<Inode>& inode, const std::string& fid) {
  const auto [entry, added] = by_node_.try_emplace(inode->id);
  Watched& watched = entry->second;
  if (added) {
    watched.inode = inode;
    watched.fid = fid;
    by_fid_.emplace(watched.fid, inode->id);
  }
  return watched;
}

Watcher::Watched Watcher::TakeOut(uint64_t node) {
  auto entry = by_node_.extract(node);
  Watched& watched = entry.mapped();
  if (watched.by_guest) --by_guest_;
  if (watched.for_names) recent_.erase(watched.position);
  const auto [begin, end] = by_fid_.equal_range(watched.fid);
  by_fid_.erase(std::find_if(begin, end, [node](const auto& other) { return other.second == node; }));
  return std::move(watched);
}

// Ends the mark of a file that was taken out, unless it has come again meanwhile, or another node is that file. path:
// an O_PATH descriptor of it, or -1.
void Watcher::End(Watched gone, int path, Lock& lock) {
  const Turn turn(*this, gone.fid, lock);
  const bool again = by_fid_.contains(gone.fid);
  lock.unlock();
  if (!again) path < 0 ? Unmark(*gone.inode, kOfDirectory) : Unmark(path, kOfDirectory);
  // Its file may end with it, for which the file system may take long.
  gone.inode = nullptr;
}

// In the turn of a file that was forgotten while it was marked. If not all was (Clear), somebody else ends the mark,
// too.
void Watcher::UnmarkForgotten(const std::string& fid, int path, Lock& lock) {
  if (by_fid_.contains(fid)) return;
  lock.unlock();
  Unmark(path, kOfDirectory);
}

int Watcher::Watch(const std::shared_ptr<Inode>& inode, uint64_t sequence) {
  const auto path = open_(*inode);
  if (!path) return errno;
  Lock lock(mutex_);
  const std::string fid = FidOf(*inode, path->fd.get(), lock);
  if (fid.empty()) return errno;
  const Turn turn(*this, fid, lock);
  Watched& watched = Enter(inode, fid);
  watched.sequence = std::max(watched.sequence, sequence);
  if (watched.by_guest) return 0;
  if (by_guest_ >= options_.max_watched) {
    if (!std::exchange(warned_, true)) {
      log::Warn("the guest watches {} files: of more it is not told what others do to them", by_guest_);
    }
    if (!watched.for_names) TakeOut(inode->id);
    return ENOSPC;
  }
  watched.by_guest = true;
  ++by_guest_;
  lock.unlock();
  const int error = Mark(path->fd.get(), S_ISDIR(inode->type) ? kOfDirectory : kOfItself);
  lock.lock();
  const auto found = by_node_.find(inode->id);
  if (found == by_node_.end()) {
    UnmarkForgotten(fid, path->fd.get(), lock);
    return error;
  }
  if (error == 0) return 0;
  if (std::exchange(found->second.by_guest, false)) --by_guest_;
  if (!found->second.for_names) TakeOut(inode->id);
  return error;
}

void Watcher::Unwatch(uint64_t node, uint64_t sequence) {
  std::shared_ptr<Inode> inode;  // is destroyed without the lock
  Lock lock(mutex_);
  auto found = by_node_.find(node);
  if (found == by_node_.end() || !found->second.by_guest || found->second.sequence > sequence) return;
  if (!found->second.for_names) {
    End(TakeOut(node), -1, lock);
    return;
  }
  found->second.by_guest = false;
  --by_guest_;
  inode = found->second.inode;
  const std::string fid = found->second.fid;
  const Turn turn(*this, fid, lock);
  found = by_node_.find(node);
  if (found == by_node_.end() || found->second.by_guest || by_fid_.count(fid) > 1) return;
  lock.unlock();
  Unmark(*inode, kOfDirectory & ~kNames);
}

// Whether it is watched for its names already.
bool Watcher::RenewName(uint64_t node) {
  const auto found = by_node_.find(node);
  if (found == by_node_.end() || !found->second.for_names) return false;
  recent_.splice(recent_.begin(), recent_, found->second.position);
  return true;
}

void Watcher::UseNames(const std::shared_ptr<Inode>& directory, int path) {
  Lock lock(mutex_);
  if (RenewName(directory->id)) return;
  const std::string fid = FidOf(*directory, path, lock);
  if (fid.empty()) return;
  {
    const Turn turn(*this, fid, lock);
    if (RenewName(directory->id)) return;
    int error = 0;
    if (!Enter(directory, fid).by_guest) {
      lock.unlock();
      error = Mark(path, kNames);
      lock.lock();
    }
    const auto found = by_node_.find(directory->id);
    if (found == by_node_.end()) {
      UnmarkForgotten(fid, path, lock);
      return;
    }
    if (error != 0) {
      if (error != ENOSPC) NoteUnable(*directory);
      TakeOut(directory->id);
      return;
    }
    recent_.push_front(directory->id);
    found->second.for_names = true;
    found->second.position = recent_.begin();
  }
  DropOldestNames(lock);
}

void Watcher::DropOldestNames(Lock& lock) {
  while (recent_.size() > options_.max_names) {
    const uint64_t node = recent_.back();
    Watched& oldest = by_node_.at(node);
    if (oldest.by_guest) {
      recent_.pop_back();
      oldest.for_names = false;
      continue;
    }
    End(TakeOut(node), -1, lock);
  }
}

bool Watcher::Watches(uint64_t node) const {
  const std::lock_guard lock(mutex_);
  return by_node_.contains(node);
}

void Watcher::Forget(uint64_t node, int path) {
  Watched gone;  // is destroyed without the lock
  Lock lock(mutex_);
  if (!by_node_.contains(node)) return;
  gone = TakeOut(node);
  if (path >= 0) End(std::move(gone), path, lock);
}

void Watcher::Clear() {
  decltype(by_node_) forgotten;
  const std::lock_guard lock(mutex_);
  changes_->RemoveAll();
  by_fid_.clear();
  recent_.clear();
  by_guest_ = 0;
  forgotten.swap(by_node_);
  events_.clear();
  Notify(wake_.get());
}

}  // namespace kata::fsd
