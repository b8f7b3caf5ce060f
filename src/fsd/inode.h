// SPDX-License-Identifier: Apache-2.0
// The inodes that the guest knows, by the numbers that it was given for them.
//
// The guest names an inode by a node id, a counter: it is never used a second time, so an old id is no other file. How
// the host's file is reached (a descriptor, and the mount to which it belongs) the guest cannot choose.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "base/unique_fd.h"
#include "fsd/file_handle.h"
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

// How a file of the host is reached: by a descriptor, or, where the file system has them, by a handle, so that the
// number of descriptors does not grow with what the guest's caches know.
struct Access {
  std::shared_ptr<Mount> mount;          // the best one by which it was found
  std::shared_ptr<const UniqueFd> path;  // O_PATH, in that mount; none: by handle
  FileHandle handle;                     // where the file system has them
};

struct Inode {
  Inode(uint64_t node, InodeKey what, mode_t mode) : id(node), key(what), type(mode) {}

  const uint64_t id;
  const InodeKey key;
  const mode_t type;  // S_IFMT of the mode; a file does not change it
  // Only InodeTable uses these, with its lock held.
  uint32_t lookups = 0;
  Access access;
};

// How InodeTable finds them: hashes and comparisons of an inode with an id or a key.
struct InodeById {
  using is_transparent = void;
  static uint64_t Of(uint64_t id) noexcept { return id; }
  static uint64_t Of(const std::shared_ptr<Inode>& inode) noexcept { return inode->id; }
  // Ids are a counter.
  size_t operator()(const auto& inode) const noexcept { return Of(inode); }
  bool operator()(const auto& a, const auto& b) const noexcept { return Of(a) == Of(b); }
};
struct InodeByKey {
  using is_transparent = void;
  static const InodeKey& Of(const InodeKey& key) noexcept { return key; }
  static const InodeKey& Of(const Inode* inode) noexcept { return inode->key; }
  static size_t Hash(const InodeKey& key) noexcept;
  size_t operator()(const auto& inode) const noexcept { return Hash(Of(inode)); }
  bool operator()(const auto& a, const auto& b) const noexcept { return Of(a) == Of(b); }
};

// An O_PATH descriptor of an inode. Empty: errno says why.
class InodePath {
 public:
  InodePath() = default;
  InodePath(std::shared_ptr<Mount> mount, std::shared_ptr<const UniqueFd> path)
      : mount_(std::move(mount)), kept_(std::move(path)), fd_(kept_->get()) {}
  InodePath(std::shared_ptr<Mount> mount, UniqueFd path)
      : mount_(std::move(mount)), own_(std::move(path)), fd_(own_.get()) {}

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // The mount in which it is open.
  const Mount& mount() const { return *mount_; }

 private:
  std::shared_ptr<Mount> mount_;
  std::shared_ptr<const UniqueFd> kept_;
  UniqueFd own_;
  int fd_ = -1;
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
  // Finds the inode with the key and counts a lookup, if what is known of it is good: `mount`, in which it was found
  // now, is not better than its own, and it is the same file still: `handle` is called for its handle if it is not kept
  // open. nullptr otherwise; then the caller opens it.
  std::shared_ptr<Inode> EnterKnown(const InodeKey& key, const Mount& mount, const std::function<FileHandle()>& handle);
  // Finds or makes the inode with the key, and counts a lookup. `access` is kept if it is better than what there was.
  // nullptr and errno: there are too many (ENFILE).
  std::shared_ptr<Inode> EnterOrMake(const InodeKey& key, mode_t type, Access access);
  // The inode with the key, without counting. nullptr: the guest does not know it.
  std::shared_ptr<Inode> FindKey(const InodeKey& key) const;
  // Takes back `count` lookups; the inode is forgotten when none are left. The root stays.
  void Forget(uint64_t id, uint64_t count);
  // Forgets all but the root.
  void Clear();
  size_t size() const;

  Access AccessOf(const Inode& inode) const;
  // Keeps an inode open from now on, whose last name is gone: its handle may lead nowhere soon.
  void KeepOpen(const Inode& inode, const std::shared_ptr<Mount>& mount, UniqueFd path);

 private:
  // Counts a lookup, with the lock held.
  std::shared_ptr<Inode> Counted(Inode& inode);

  const size_t limit_;
  mutable std::mutex mutex_;
  uint64_t next_ = kRootNode + 1;
  // Sets of pointers, since a guest can know millions of files: maps would keep id and key once more.
  std::unordered_set<std::shared_ptr<Inode>, InodeById, InodeById> by_id_;
  std::unordered_set<Inode*, InodeByKey, InodeByKey> by_key_;
};

}  // namespace kata::fsd
