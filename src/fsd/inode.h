// SPDX-License-Identifier: Apache-2.0
// The inodes that the guest knows, by the numbers that it was given for them.
//
// The guest names an inode by a node id, a counter: it is never used a second time, so an old id is no other file. How
// the host's file is reached (a descriptor, and the mount to which it belongs) the guest cannot choose.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/unique_fd.h"
#include "fsd/mounts.h"

namespace kata::fsd {

inline constexpr uint64_t kRootNode = 1;

// What makes two files of the host the same one.
struct InodeKey {
  uint64_t device = 0;  // st_dev
  uint64_t number = 0;  // st_ino
  uint32_t group = 0;   // Mount::group
  bool operator==(const InodeKey&) const = default;
};

struct InodeKeyHash {
  size_t operator()(const InodeKey& key) const;
};

// How a file of the host is reached.
struct Access {
  std::shared_ptr<Mount> mount;
  std::shared_ptr<const UniqueFd> path;  // O_PATH
};

struct Inode {
  Inode(uint64_t node, InodeKey what, mode_t mode) : id(node), key(what), type(mode) {}

  const uint64_t id;
  const InodeKey key;
  const mode_t type;  // S_IFMT of the mode; a file does not change it
  // Only InodeTable uses these, with its lock held.
  uint64_t lookups = 0;
  Access access;
};

// An O_PATH descriptor of an inode. Empty: errno says why.
class InodePath {
 public:
  InodePath() = default;
  explicit InodePath(Access access) : access_(std::move(access)) {}

  explicit operator bool() const { return access_.path != nullptr; }
  int fd() const { return access_.path->get(); }
  const Mount& mount() const { return *access_.mount; }

 private:
  Access access_;
};

// Thread-safe.
class InodeTable {
 public:
  // At most `limit` inodes are known at a time.
  explicit InodeTable(size_t limit) : limit_(limit) {}

  // The root, which is always known.
  void SetRoot(const InodeKey& key, mode_t type, Access access);
  // nullptr: the guest does not know this id.
  std::shared_ptr<Inode> Find(uint64_t id) const;
  // Finds the inode with the key and counts a lookup. nullptr: it is not known, or `mount` allows more than the access
  // that is known, so that the caller must open it.
  std::shared_ptr<Inode> EnterKnown(const InodeKey& key, const Mount& mount);
  // Finds or makes the inode with the key, and counts a lookup. `access` is remembered if it allows more than what
  // there was. nullptr and errno: there are too many (ENFILE).
  std::shared_ptr<Inode> EnterOrMake(const InodeKey& key, mode_t type, Access access);
  // Takes back `count` lookups; the inode is forgotten when none are left. The root stays.
  void Forget(uint64_t id, uint64_t count);
  // Forgets all but the root.
  void Clear();
  size_t size() const;

  InodePath PathOf(const Inode& inode) const;

 private:
  // Counts a lookup, with the lock held.
  std::shared_ptr<Inode> Counted(Inode& inode);

  const size_t limit_;
  mutable std::mutex mutex_;
  uint64_t next_ = kRootNode + 1;
  std::unordered_map<uint64_t, std::shared_ptr<Inode>> by_id_;
  std::unordered_map<InodeKey, Inode*, InodeKeyHash> by_key_;
};

}  // namespace kata::fsd
