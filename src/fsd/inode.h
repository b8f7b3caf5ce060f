// SPDX-License-Identifier: Apache-2.0
// The inodes that the guest knows, by the numbers that it was given for them.
//
// The guest names an inode by a node id, a counter: it is never used a second time, so an old id is no other file. How
// the host's file is reached (a descriptor, and the mount to which it belongs) the guest cannot choose.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/unique_fd.h"
#include "fsd/descriptor_reserve.h"
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

struct Inode;

// An entry of a directory: the directory and the name by which a file was found.
struct Dentry {
  std::shared_ptr<Inode> parent;
  std::string name;
};

// A descriptor of a file, O_PATH or of one that the guest has open, and the mount in which it is open.
struct OpenPath {
  std::shared_ptr<Mount> mount;
  UniqueFd fd;
};

// How a file of the host is reached: by a descriptor, by a handle, or, where the file system has none, by the name by
// which it was found. So the number of descriptors does not grow with what the guest's caches know.
struct Access {
  std::shared_ptr<Mount> mount;          // the best one by which it was found
  std::shared_ptr<const OpenPath> path;  // none: it is not open
  FileHandle handle;                     // where the file system has them
  std::shared_ptr<const Dentry> dentry;  // where handles cannot be opened (Mount::anchor), if it has a name

  // Whether it can be opened again without a name.
  bool by_handle() const { return mount->anchor && handle; }
};

struct Inode {
  Inode(uint64_t node, InodeKey what, mode_t mode) : id(node), key(what), type(mode) {}

  const uint64_t id;
  const InodeKey key;
  const mode_t type;  // S_IFMT of the mode; a file does not change it
  // Only InodeTable uses these, with its lock held.
  uint32_t lookups = 0;
  uint32_t pins = 0;      // open files of the guest, if it has no handle
  bool nameless = false;  // its descriptor is the only way to it
  bool recent = false;    // `position` is one of InodeTable's
  std::list<Inode*>::iterator position;
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

// Thread-safe.
class InodeTable {
 public:
  // At most `limit` inodes are known at a time. At most `max_paths` of those that are found again by their names are
  // kept open, beside those that the guest has open or whose names are gone.
  InodeTable(size_t limit, size_t max_paths, const DescriptorReserve& reserve)
      : limit_(limit), reserve_(reserve), max_recent_{max_paths, kMaxDirectories} {}

  void SetLimit(size_t limit) { limit_ = limit; }
  // The root, which is always known.
  void SetRoot(const InodeKey& key, mode_t type, Access access);
  // nullptr: the guest does not know this id.
  std::shared_ptr<Inode> Find(uint64_t id) const;
  // Finds the inode with the key and counts a lookup, if what is known of it is good: `mount`, in which it was found
  // now by a name in `parent`, is not better than its own, and it is the same file still: it is open, or has that name
  // already, or `handle` gives its handle. nullptr otherwise; then the caller looks closer.
  std::shared_ptr<Inode> EnterKnown(const InodeKey& key, const Mount& mount, const std::shared_ptr<Inode>& parent,
                                    std::string_view name, const std::function<FileHandle()>& handle);
  // Finds or makes the inode with the key, and counts a lookup. `access` is kept if it is better than what there was.
  // An inode that is neither open nor has the handle or the dentry of `access` is taken for another one. `open`: one
  // that the caller keeps open meanwhile, or nullptr. nullptr and errno: there are too many (ENFILE).
  std::shared_ptr<Inode> EnterOrMake(const InodeKey& key, mode_t type, Access access, const Inode* open = nullptr);
  // The inode with the key, without counting. nullptr: the guest does not know it.
  std::shared_ptr<Inode> FindKey(const InodeKey& key) const;
  // Takes back `count` lookups; the inode is forgotten when none are left. The root stays.
  void Forget(uint64_t id, uint64_t count);
  // Forgets all but the root.
  void Clear();
  size_t size() const;

  Access AccessOf(const Inode& inode) const;
  // Notes that it is used now. nullptr: it is not open.
  std::shared_ptr<const OpenPath> UsePath(const Inode& inode);
  // Keeps an inode open for some time. Another one may be closed for it.
  void Keep(const Inode& inode, std::shared_ptr<const OpenPath> path);
  // Closes it, unless that is the only way to it.
  void Close(const Inode& inode);
  // Keeps an inode open from now on, whose last name is gone: its handle or its name may lead nowhere soon. path:
  // O_PATH, or a file that the guest has open, which stays open until the guest has forgotten the inode.
  void KeepNameless(const Inode& inode, std::shared_ptr<const OpenPath> path);
  // Keeps an inode open until as many calls of Unpin have come: one without a handle, which the guest has open. path:
  // its descriptor.
  void Pin(const Inode& inode, std::shared_ptr<const OpenPath> path);
  void Unpin(const Inode& inode);
  // The guest has opened, or closes, the inode, and this is the file.
  void NoteOpen(const Inode& inode, const std::shared_ptr<const OpenPath>& file);
  void NoteClosed(const Inode& inode, const OpenPath& file);
  // A file by which the guest has it open. nullptr: it has not, or only by another one than it opened last.
  std::shared_ptr<const OpenPath> OpenOf(const Inode& inode) const;
  // Closes all that need not be open.
  void CloseRecent();
  // The inode, if it is known and has no handle, has this name now.
  void Move(const InodeKey& key, const std::shared_ptr<Inode>& parent, std::string_view name);

 private:
  // Directories with handles are kept open only since they are used again soon.
  static constexpr size_t kMaxDirectories = 64;

  // With the lock held:
  std::shared_ptr<Inode> Counted(Inode& inode);
  Inode* Known(const Inode& inode) const;
  static void SetDentry(Inode& inode, const std::shared_ptr<Inode>& parent, std::string_view name);
  static bool IsAt(const Inode& inode, const Inode& parent, std::string_view name);
  // Puts it among those that may be closed, as the newest, or takes it out. Returns the descriptor for which there is
  // no room, which the caller closes without the lock.
  std::shared_ptr<const OpenPath> Settle(Inode& inode);
  void TakeOut(Inode& inode);
  // Makes one of them the newest.
  void Renew(Inode& inode);

  std::atomic<size_t> limit_;
  const DescriptorReserve reserve_;
  const std::array<size_t, 2> max_recent_;  // by Access::by_handle()
  mutable std::mutex mutex_;
  uint64_t next_ = kRootNode + 1;
  // Sets of pointers, since a guest can know millions of files: maps would keep id and key once more.
  std::unordered_set<std::shared_ptr<Inode>, InodeById, InodeById> by_id_;
  std::unordered_set<Inode*, InodeByKey, InodeByKey> by_key_;
  // The files by which the guest has inodes open, by their ids: of each inode the one that was opened last.
  std::unordered_map<uint64_t, std::weak_ptr<const OpenPath>> opened_;
  // Those that are open and need not be; the newest first.
  std::array<std::list<Inode*>, 2> recent_;
};

}  // namespace kata::fsd
