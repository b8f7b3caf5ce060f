// SPDX-License-Identifier: Apache-2.0
// What others do to the files that the guest has, told to it: to those in it who watch a file or a directory (inotify),
// and to its kernel, which believes names in directories that it has looked at.
//
// Bounded: so many files that the guest asks for, so many directories that are watched for their names (the one that
// was looked at longest ago makes room), and a short queue of events. While that is full, changes wait in the host's
// kernel, whose queue ends at fs.fanotify.max_queued_events: then everybody in the guest is told that events were lost.
#pragma once

#include <sys/fanotify.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fsd/host_changes.h"
#include "fsd/inode.h"

namespace kata::fsd {

class Watcher {
 public:
  struct Options {
    size_t max_watched = 4096;
    size_t max_names = 1024;
    size_t max_events = 256;  // one change is up to five of them, and an overflow one for each file that is watched
  };
  // Opens an inode (O_PATH). nullptr: errno says why.
  using Opener = std::function<std::shared_ptr<const OpenPath>(const Inode&)>;

  // proc_fds: /proc/self/fd, which must outlive this. Starts a thread.
  static Result<std::unique_ptr<Watcher>> Create(std::unique_ptr<HostChanges> changes, int proc_fds, Opener open,
                                                 Options options);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  // The guest watches an inode: from now on it is told what others do to it, or to what is in it. Returns 0 or errno;
  // ENOSPC: it watches too many.
  int Watch(const std::shared_ptr<Inode>& inode, uint64_t sequence);
  // It does so no more, unless a Watch with a greater number has come before.
  void Unwatch(uint64_t node, uint64_t sequence);
  // The guest is about to learn names in a directory. path: an O_PATH descriptor of it.
  void UseNames(const std::shared_ptr<Inode>& directory, int path);
  // Whether it is watched for whatever.
  bool Watches(uint64_t node) const;
  // The guest has forgotten an inode. path: an O_PATH descriptor of it; -1: it is gone.
  void Forget(uint64_t node, int path);
  // Forgets all, and what has happened.
  void Clear();

  // From now on requests for events are refused, or allowed again.
  void End();
  void Begin();
  bool ended() const;

  // Whether Take would return something, or the guest has no events to wait for.
  bool Ready() const;
  // Takes events, as they stand in a reply, of at most `room` bytes.
  std::string Take(size_t room);
  // What is to be called, by any thread, when Ready has become true. Empty: nothing, and no call is under way any more.
  void OnReady(std::function<void()> call);

  // For tests: how many files and directories are watched.
  size_t size() const;

 private:
  struct Watched {
    std::shared_ptr<Inode> inode;
    std::string fid;
    uint64_t sequence = 0;
    bool by_guest = false;
    bool for_names = false;
    std::list<uint64_t>::iterator position;  // in recent_, if for_names
  };
  struct Event {
    uint64_t node;
    uint32_t mask;
    uint32_t cookie;
    std::string name;
    bool operator==(const Event&) const = default;
  };

  // What is asked of a mark. A name that comes to be needs nothing: the guest does not remember that there is none.
  static constexpr uint64_t kNames = FAN_DELETE | FAN_RENAME | FAN_ONDIR;
  static constexpr uint64_t kOfFile = FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE;
  static constexpr uint64_t kOfItself = kOfFile | FAN_DELETE_SELF | FAN_MOVE_SELF;
  static constexpr uint64_t kOfDirectory = kNames | kOfItself | FAN_CREATE | FAN_EVENT_ON_CHILD;

  Watcher(std::unique_ptr<HostChanges> changes, int proc_fds, Opener open, Options options);

  class Turn;
  using Lock = std::unique_lock<std::mutex>;

  // These wait for the file system, so they are called without mutex_.
  int Mark(int path, uint64_t mask) const;
  void Unmark(const Inode& inode, uint64_t mask) const;
  void Unmark(int path, uint64_t mask) const;
  // These are called with mutex_ held, and those with `lock` give it back meanwhile.
  std::string FidOf(const Inode& inode, int path, Lock& lock);
  Watched& Enter(const std::shared_ptr<Inode>& inode, const std::string& fid);
  bool RenewName(uint64_t node);
  Watched TakeOut(uint64_t node);
  void End(Watched gone, int path, Lock& lock);
  void UnmarkForgotten(const std::string& fid, int path, Lock& lock);
  void DropOldestNames(Lock& lock);
  void NoteUnable(const Inode& inode);
  void Tell(const HostChange& change);
  void TellOfName(const HostChange& change, const HostChange::Entry& entry, uint64_t mask, uint32_t cookie);
  void TellOfFile(std::string_view fid, uint64_t mask);
  void TellOverflow();
  void Put(Event event);

  void Run();
  bool AwaitChanges(bool busy);
  void Call();

  const std::unique_ptr<HostChanges> changes_;
  const int proc_fds_;
  const Opener open_;
  const Options options_;
  UniqueFd wake_;  // eventfd for the thread: to end, or that there is room for events

  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Watched> by_node_;
  // Several nodes, if the same file is reached by mounts that are kept apart. Views of by_node_'s fids.
  std::unordered_multimap<std::string_view, uint64_t> by_fid_;
  std::list<uint64_t> recent_;  // the directories for their names; the latest first
  size_t by_guest_ = 0;
  std::unordered_set<std::string> turns_;  // fids of the files whose marks are being changed (Turn)
  std::condition_variable turn_over_;
  std::unordered_set<uint64_t> unable_;  // devices whose changes are not told
  std::deque<Event> events_;
  uint32_t next_cookie_ = 1;
  bool full_ = false;    // the thread waits for room
  bool warned_ = false;  // that the guest watches too many
  bool ending_ = false;
  bool ended_ = false;

  std::mutex call_mutex_;  // before mutex_
  std::function<void()> call_;
  std::thread thread_;
};

}  // namespace kata::fsd
