// SPDX-License-Identifier: Apache-2.0
// The storages of the guest: mounts and directories that the host has asked for, each with a count of its users.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/storage/guest_dir.h"
#include "agent/storage/watched.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// All storages of the pod and its containers, by mount point.
class StorageTable {
 public:
  // root must outlive the table.
  explicit StorageTable(const GuestDir& root) : root_(root) {}

  // Makes all storages; after an error, releases those that it has made so far. If an identical storage exists at the
  // mount point, its user count grows by one; kAlreadyExists: a different one exists there. kInvalidArgument: unknown
  // driver. The source of a disk must be its node in /dev. A storage below sandbox/ belongs to the pod and stays until
  // ReleaseAll, also after an error. Returns the mount points, which the caller passes to Release later.
  Result<std::vector<std::string>> Add(const google::protobuf::RepeatedPtrField<grpc::Storage>& storages);
  // Decrements the user count of each storage, from the last to the first, and unmounts or removes those without users.
  // Goes on after an error and returns the first one. The table also forgets a storage that could not be removed.
  Result<> Release(const std::vector<std::string>& mount_points);
  // Removes all storages, from the newest to the oldest. Goes on after an error and returns the first one.
  Result<> ReleaseAll();
  // Gives ephemeral storages new mount options, such as size=. kNotFound: no ephemeral storage at a mount point.
  Result<> Remount(const google::protobuf::RepeatedPtrField<grpc::Storage>& storages);
  // Whether there is a watchable-bind storage that is a copy.
  bool HasWatched() const;
  // Updates the copies from their sources and logs failures. Returns HasWatched().
  bool UpdateWatched();
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string identity;  // the serialized message: two storages are the same if theirs are equal
    bool mounted = false;  // false: a directory
    int users = 0;
    uint64_t order = 0;                     // grows with every storage; ReleaseAll goes backwards
    bool overlay_directories = false;       // RemoveOverlayDirectories is needed
    std::unique_ptr<Watched> watched = {};  // the copy of a watchable-bind storage
    std::string complaint = {};             // the last error of updating the copy
  };
  Result<> AddOne(const grpc::Storage& storage);
  Result<> Remove(const std::string& mount_point, Entry& entry);
  Result<std::unique_ptr<Watched>> Watch(const grpc::Storage& storage);

  const GuestDir& root_;
  std::map<std::string, Entry> entries_;
  uint64_t next_order_ = 0;
};

// Unmounts the mount at place, lazily (MNT_DETACH) if it is busy. Fails with the errno of umount2(2), also if nothing
// is mounted there (EINVAL).
Result<> Unmount(const Place& place);

// Bind-mounts the directory or file behind the descriptor source at target, recursively. flags are MS_RDONLY and the
// like, propagation is MS_PRIVATE and the like (0: unchanged). Fails with the errno of mount(2); then nothing stays
// mounted.
Result<> BindMount(int source, const Place& target, unsigned long flags, unsigned long propagation);

}  // namespace kata::agent
