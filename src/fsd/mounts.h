// SPDX-License-Identifier: Apache-2.0
// The mounts below the shared directory, as far as the guest has come across them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/unique_fd.h"

namespace kata::fsd {

// One mount of the host. While an object of it lives, the kernel does not give its id to another.
struct Mount {
  uint64_t id = 0;      // stx_mnt_id of statx(2)
  uint32_t group = 0;   // files of two mounts of one group are the same if device and number are
  uint32_t device = 0;  // a small number for its file system, from 1 on; what the guest may know of st_dev
  bool writable = false;
  bool remote = false;  // its files may be another computer's, or another process's: errors come with close(2)
  UniqueFd root;        // O_PATH
};

// Thread-safe.
class MountTable {
 public:
  // The mount with this id, which `root` (O_PATH) has just been found to be in; if it is a new one, root must be its
  // root. nullptr and errno: that fails.
  std::shared_ptr<Mount> Get(uint64_t id, uint64_t device, int root);
  // nullptr: no mount with this id is known.
  std::shared_ptr<Mount> Find(uint64_t id) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::weak_ptr<Mount>> by_id_;
  std::unordered_map<uint64_t, uint32_t> devices_;
  uint32_t next_group_ = 1;
};

}  // namespace kata::fsd
