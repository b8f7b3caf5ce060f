// SPDX-License-Identifier: Apache-2.0
// The mounts below the shared directory, as far as the guest has come across them.
//
// The same directory of the host can be mounted there several times, read-only and writable. Its files are to be one
// file in the guest, by whatever mount it comes to them. Two mounts of one file system make a group if that is possible
// (Agree, shown_tree.h). A file of the group is opened through the mount that allows most of those by which the guest
// can reach it: what it may do by one name it may do by the other. What it reaches by read-only mounts alone stays
// read-only, whatever its kernel asks for.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "fsd/shown_tree.h"

namespace kata::fsd {

// One mount of the host. While an object of it lives, the kernel keeps the mount, and does not give its id to another.
struct Mount {
  uint64_t id = 0;     // stx_mnt_id of statx(2)
  uint32_t group = 0;  // files of two mounts of one group are the same if device and number are
  bool writable = false;
  bool remote = false;     // its files may be another computer's, or another process's: errors come with close(2)
  bool handles = false;    // its files have file handles (file_handle.h)
  bool anchor = false;     // handles can be opened by way of root, which is open for reading then
  UniqueFd root;           // O_PATH unless `anchor`
  size_t path_length = 0;  // of the path in its file system that is its root

  // Only MountTable uses these, with its lock held.
  std::optional<ShownTree> tree;
  std::weak_ptr<Mount> best;  // BestOf; none: itself
};

// Whether a file that is in both mounts is rather reached by `mount`: an order of all mounts.
bool Better(const Mount& mount, const Mount& than);

// Thread-safe.
class MountTable {
 public:
  // proc_self: O_PATH of the process's directory in /proc, which must outlive this.
  explicit MountTable(int proc_self) : proc_self_(proc_self) {}

  // The mount with this id, in which `path` (O_PATH) is; if it is a new one, path must be its root. nullptr and errno:
  // that fails.
  std::shared_ptr<Mount> Get(uint64_t id, int path);
  // nullptr: no mount with this id is known.
  std::shared_ptr<Mount> Find(uint64_t id) const;
  // The mount of its group that reaches all files of this one and allows most; that may be itself.
  std::shared_ptr<Mount> BestOf(const std::shared_ptr<Mount>& mount) const;
  // All that are known.
  std::vector<std::shared_ptr<Mount>> All() const;
  // A small number for a device (st_dev), from 1 on; 0: there are too many.
  uint16_t NumberOf(uint64_t device);

 private:
  // With the lock held:
  std::shared_ptr<Mount> FindKnown(uint64_t id) const;
  std::vector<std::shared_ptr<Mount>> Known() const;
  void JoinGroup(const std::shared_ptr<Mount>& mount);

  const int proc_self_;
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::weak_ptr<Mount>> by_id_;
  std::unordered_map<uint64_t, uint16_t> numbers_;
  uint32_t next_group_ = 1;
};

}  // namespace kata::fsd
