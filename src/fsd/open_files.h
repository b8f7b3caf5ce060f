// SPDX-License-Identifier: Apache-2.0
// The files and directories that the guest has open, by the numbers (fh) that it was given for them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/unique_fd.h"
#include "fsd/inode.h"

namespace kata::fsd {

// An open file.
struct OpenFile {
  std::shared_ptr<const OpenPath> path;
  std::shared_ptr<Inode> inode = nullptr;
  bool pinned = false;  // `inode` is kept open for it (InodeTable::Pin)

  int fd() const { return path->fd.get(); }
};

// An open directory, which is read from any offset that an entry had.
class OpenDirectory {
 public:
  OpenDirectory(UniqueFd directory, std::shared_ptr<Inode> of) : inode(std::move(of)), fd_(std::move(directory)) {}

  struct Entry {
    uint64_t number = 0;  // d_ino
    uint64_t next = 0;    // the offset behind it
    uint8_t type = 0;     // DT_*
    const char* name = nullptr;
  };

  const std::shared_ptr<Inode> inode;
  bool pinned = false;  // `inode` is kept open for it (InodeTable::Pin)

  int fd() const { return fd_.get(); }
  // Only one thread may read a directory at a time.
  std::mutex& mutex() { return mutex_; }
  // Goes to an offset; 0 is the beginning, as after rewinddir(3). Returns 0 or errno.
  int Seek(uint64_t offset);
  // Shows the next entry without passing it; valid until Pass. false and 0: the end. false and errno: an error.
  bool Peek(Entry* entry, int* error);
  // Passes the entry that Peek has shown.
  void Pass();

 private:
  const UniqueFd fd_;
  std::mutex mutex_;
  uint64_t position_ = 0;
  std::string entries_;  // what was read and not yet given
  size_t begin_ = 0;
};

// Thread-safe. An fh is a counter, so one that was released is never another file.
template <typename T>
class OpenTable {
 public:
  uint64_t Add(std::shared_ptr<T> open) {
    const std::lock_guard lock(mutex_);
    open_[next_] = std::move(open);
    return next_++;
  }
  // nullptr: there is none.
  std::shared_ptr<T> Find(uint64_t fh) const {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(fh);
    return found == open_.end() ? nullptr : found->second;
  }
  // Takes it out; the file is closed when nobody else uses it, not under the lock. nullptr: there was none.
  std::shared_ptr<T> Take(uint64_t fh) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(fh);
    if (found == open_.end()) return nullptr;
    std::shared_ptr<T> open = std::move(found->second);
    open_.erase(found);
    return open;
  }
  void Clear() {
    std::unordered_map<uint64_t, std::shared_ptr<T>> closed;
    const std::lock_guard lock(mutex_);
    closed.swap(open_);
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return open_.size();
  }

 private:
  mutable std::mutex mutex_;
  uint64_t next_ = 1;
  std::unordered_map<uint64_t, std::shared_ptr<T>> open_;
};

}  // namespace kata::fsd
