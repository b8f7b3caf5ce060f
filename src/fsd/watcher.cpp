// SPDX-License-Identifier: Apache-2.0
#include "fsd/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "fsd/fuse_extensions.h"

namespace kata::fsd {
namespace {

// A name that comes to be needs nothing: the guest does not remember that there is none.
constexpr uint64_t kNames = FAN_DELETE | FAN_RENAME | FAN_ONDIR;
constexpr uint64_t kOfFile = FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE;
constexpr uint64_t kOfItself = kOfFile | FAN_DELETE_SELF | FAN_MOVE_SELF;
constexpr uint64_t kOfDirectory = kNames | kOfItself | FAN_CREATE | FAN_EVENT_ON_CHILD;

// Of several events that the kernel has joined, in the order in which they are likely to have come.
constexpr std::array<uint64_t, 7> kOrder = {FAN_CREATE, FAN_MODIFY,    FAN_CLOSE_WRITE, FAN_ATTRIB,
                                            FAN_DELETE, FAN_MOVE_SELF, FAN_DELETE_SELF};
// These events and this flag have the same numbers in inotify and in the guest's kernel.
static_assert(FAN_MODIFY == IN_MODIFY && FAN_ATTRIB == IN_ATTRIB && FAN_CLOSE_WRITE == IN_CLOSE_WRITE &&
              FAN_CREATE == IN_CREATE && FAN_DELETE == IN_DELETE && FAN_DELETE_SELF == IN_DELETE_SELF &&
              FAN_MOVE_SELF == IN_MOVE_SELF && FAN_ONDIR == IN_ISDIR);

constexpr size_t kMaxUnable = 256;

// While the guest changes files itself, what is told of that is read (and dropped) so many milliseconds later, all at
// once: otherwise each request of the guest's would wake the thread.
constexpr int kTogether = 20;

size_t SizeOf(size_t name) { return sizeof(HostEvent) + (name + 7) / 8 * 8; }

void Signal(int event) {
  const uint64_t one = 1;
  // Fails only when the counter is full, so that the event is there anyhow.
  [[maybe_unused]] const ssize_t ignored = write(event, &one, sizeof one);
}

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
  Signal(wake_.get());
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

int Watcher::Mark(int path, uint64_t mask) const {
  char name[12];
  *std::to_chars(name, name + sizeof(name) - 1, path).ptr = '\0';
  return changes_->Add(proc_fds_, name, mask);
}

void Watcher::Unmark(int path, uint64_t mask) const {
  char name[12];
  *std::to_chars(name, name + sizeof(name) - 1, path).ptr = '\0';
  (void)changes_->Remove(proc_fds_, name, mask);
}

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
  Signal(wake_.get());
}

void Watcher::Put(Event event) {
  // As inotify does: the same once more says nothing new.
  if (!events_.empty() && events_.back() == event) return;
  events_.push_back(std::move(event));
}

void Watcher::TellOfFile(std::string_view fid, uint64_t mask) {
  const auto [begin, end] = by_fid_.equal_range(fid);
  for (auto found = begin; found != end; ++found) {
    if (!by_node_.at(found->second).by_guest) continue;
    for (const uint64_t bit : kOrder) {
      if ((mask & bit & kOfItself) != 0) Put({found->second, static_cast<uint32_t>(bit), 0, {}});
    }
  }
}

void Watcher::TellOfName(const HostChange& change, const HostChange::Entry& entry, uint64_t mask, uint32_t cookie) {
  const auto [begin, end] = by_fid_.equal_range(entry.directory);
  const auto is_directory = static_cast<uint32_t>(change.mask & FAN_ONDIR);
  for (auto found = begin; found != end; ++found) {
    if (cookie != 0) {
      Put({found->second, static_cast<uint32_t>(mask) | is_directory, cookie, std::string(entry.name)});
      continue;
    }
    const bool all = by_node_.at(found->second).by_guest;
    for (const uint64_t bit : kOrder) {
      if ((mask & bit & (all ? ~uint64_t{0} : kNames)) == 0) continue;
      Put({found->second, static_cast<uint32_t>(bit) | is_directory, 0, std::string(entry.name)});
    }
  }
}

void Watcher::Tell(const HostChange& change) {
  if ((change.mask & FAN_RENAME) != 0) {
    const uint32_t cookie = next_cookie_++;
    if (next_cookie_ == 0) next_cookie_ = 1;
    if (!change.entry.directory.empty()) TellOfName(change, change.entry, IN_MOVED_FROM, cookie);
    if (!change.new_entry.directory.empty()) TellOfName(change, change.new_entry, IN_MOVED_TO, cookie);
    return;
  }
  if (change.entry.name == ".") {
    TellOfFile(change.entry.directory, change.mask);
    return;
  }
  // A directory has no other name. Its own event comes late if it is open here.
  if ((change.mask & FAN_DELETE) != 0 && (change.mask & FAN_ONDIR) != 0) TellOfFile(change.file, FAN_DELETE_SELF);
  if (!change.entry.directory.empty()) TellOfName(change, change.entry, change.mask & ~FAN_ONDIR, 0);
  // What happens to a name has been told to the directory alone.
  if (!change.file.empty()) TellOfFile(change.file, change.mask);
}

void Watcher::TellOverflow() {
  for (const auto& [node, watched] : by_node_) {
    if (watched.by_guest) Put({node, IN_Q_OVERFLOW, 0, {}});
  }
}

void Watcher::End() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  Call();
}

void Watcher::Begin() {
  const std::lock_guard lock(mutex_);
  ended_ = false;
}

bool Watcher::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool Watcher::Ready() const {
  const std::lock_guard lock(mutex_);
  return ended_ || !events_.empty();
}

std::string Watcher::Take(size_t room) {
  std::string list;
  const std::lock_guard lock(mutex_);
  while (!events_.empty() && list.size() + SizeOf(events_.front().name.size()) <= room) {
    const Event& event = events_.front();
    const HostEvent head = {.node = event.node,
                            .mask = event.mask,
                            .cookie = event.cookie,
                            .length = static_cast<uint32_t>(event.name.size()),
                            .padding = 0};
    const size_t end = list.size() + SizeOf(event.name.size());
    list.append(reinterpret_cast<const char*>(&head), sizeof head);
    list += event.name;
    list.resize(end);
    events_.pop_front();
  }
  if (full_ && events_.size() < options_.max_events) Signal(wake_.get());
  return list;
}

void Watcher::OnReady(std::function<void()> call) {
  const std::lock_guard lock(call_mutex_);
  call_ = std::move(call);
}

void Watcher::Call() {
  const std::lock_guard lock(call_mutex_);
  if (call_) call_();
}

size_t Watcher::size() const {
  const std::lock_guard lock(mutex_);
  return by_node_.size();
}

// Waits for changes if there is room for events. busy: the guest changes files itself. False: it is over.
bool Watcher::AwaitChanges(bool busy) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return false;
      full_ = events_.size() >= options_.max_events;
    }
    // full_ is only cleared here, so the wait for room ends by wake_.
    const bool listens = !full_ && !busy;
    pollfd waits[2] = {{wake_.get(), POLLIN, 0}, {changes_->fd(), POLLIN, 0}};
    if (poll(waits, listens ? 2 : 1, busy && !full_ ? kTogether : -1) < 0 && errno != EINTR) return false;
    busy = false;
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = read(wake_.get(), &count, sizeof count);
    if (listens && (waits[1].revents & POLLIN) != 0) return true;
  }
}

void Watcher::Run() {
  bool own = false;
  while (AwaitChanges(own)) {
    bool overflow = false;
    bool any = false;
    own = false;
    {
      const std::lock_guard lock(mutex_);
      const auto tell = [&](const HostChange& change) {
        own = own || change.own;
        if (!change.own) {
          Tell(change);
        } else if ((change.mask & FAN_DELETE_SELF) != 0) {
          // The file ends with the last descriptor of it, which may be this process's, whoever has removed it. If the
          // guest has, nobody there hears it twice: its watches went with its own event.
          TellOfFile(change.file.empty() ? change.entry.directory : change.file, FAN_DELETE_SELF);
        }
      };
      changes_->Read(tell, &overflow);
      if (overflow) TellOverflow();
      any = !events_.empty();
    }
    if (overflow) log::Warn("changes to files were lost: there were too many at once");
    if (any) Call();
  }
}

}  // namespace kata::fsd
