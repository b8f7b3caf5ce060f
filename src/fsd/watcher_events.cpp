// SPDX-License-Identifier: Apache-2.0
// Watcher: what has happened, from the host's kernel to the guest.
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "fsd/eventfd.h"
#include "fsd/fuse_extensions.h"
#include "fsd/watcher.h"

namespace kata::fsd {
namespace {

// Of several events that the kernel has joined, in the order in which they are likely to have come.
constexpr std::array<uint64_t, 7> kOrder = {FAN_CREATE, FAN_MODIFY,    FAN_CLOSE_WRITE, FAN_ATTRIB,
                                            FAN_DELETE, FAN_MOVE_SELF, FAN_DELETE_SELF};
// These events and this flag have the same numbers in inotify and in the guest's kernel.
static_assert(FAN_MODIFY == IN_MODIFY && FAN_ATTRIB == IN_ATTRIB && FAN_CLOSE_WRITE == IN_CLOSE_WRITE &&
              FAN_CREATE == IN_CREATE && FAN_DELETE == IN_DELETE && FAN_DELETE_SELF == IN_DELETE_SELF &&
              FAN_MOVE_SELF == IN_MOVE_SELF && FAN_ONDIR == IN_ISDIR);

// While the guest changes files itself, what is told of that is read (and dropped) so many milliseconds later, all at
// once: otherwise each request of the guest's would wake the thread.
constexpr int kTogether = 20;

size_t SizeOf(size_t name) { return sizeof(HostEvent) + (name + 7) / 8 * 8; }

}  // namespace

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
  if (full_ && events_.size() < options_.max_events) Notify(wake_.get());
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
