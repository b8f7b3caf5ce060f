// SPDX-License-Identifier: Apache-2.0
// The storages of the sandbox: file systems that the host asked for, each at a mount point, counted by their users.
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

// The names of the drivers (drivers.cpp), for GetGuestDetails.
std::vector<std::string> StorageDrivers();

// The mounts of the sandbox and its containers.
class StorageTable {
 public:
  // root must outlive the table.
  explicit StorageTable(const GuestDir& root) : root_(root) {}

  // Makes all of them, or none: what was made before an error is taken back. A storage that exists at the mount point
  // gets one more user when it is the same, and is kAlreadyExists otherwise. An unknown driver is kInvalidArgument.
  // The source of a disk is its node in /dev. What is below sandbox/ stays until ReleaseAll.
  // Returns the mount points, which the caller gives back to Release.
  Result<std::vector<std::string>> Add(const google::protobuf::RepeatedPtrField<grpc::Storage>& storages);
  // One user less for each, last first; what nobody uses is unmounted. Goes on after an error, and returns the first.
  Result<> Release(const std::vector<std::string>& mount_points);
  // Unmounts everything, last first.
  Result<> ReleaseAll();
  // Gives ephemeral storages new options, such as size=. kNotFound: there is none at the mount point.
  Result<> Remount(const google::protobuf::RepeatedPtrField<grpc::Storage>& storages);
  // There are watchable-bind storages that are copies.
  bool HasWatched() const;
  // Takes over what has changed in their sources; as HasWatched.
  bool UpdateWatched();
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string identity;  // the message, to tell the same storage from another at the same place
    bool mounted = false;  // else a directory
    int users = 0;
    uint64_t order = 0;
    bool overlay_directories = false;       // to be removed with it
    std::unique_ptr<Watched> watched = {};  // a copy that is kept up to date
    std::string complaint = {};             // the last error of that
  };
  Result<> AddOne(const grpc::Storage& storage);
  Result<> Remove(const std::string& mount_point, Entry& entry);
  Result<std::unique_ptr<Watched>> Watch(const grpc::Storage& storage);

  const GuestDir& root_;
  std::map<std::string, Entry> entries_;
  uint64_t next_order_ = 0;
};

// Unmounts what is at place, lazily when it is busy.
Result<> Unmount(const Place& place);

// Binds the directory or file source (an open descriptor) to target, with all that is mounted below it.
Result<> BindMount(int source, const Place& target, unsigned long flags, unsigned long propagation);

}  // namespace kata::agent
