// SPDX-License-Identifier: Apache-2.0
// The storage drivers: each makes the mount or the directory that a Storage message describes, at its mount point.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

struct StorageDriver {
  std::string_view name;
  bool mounts;  // false: the driver makes a directory and mounts nothing
  // Makes the storage, its mount point included.
  Result<> (*make)(const GuestDir& root, const grpc::Storage& storage);
};

// nullptr: no such driver.
const StorageDriver* FindStorageDriver(std::string_view name);

// The names of all storage drivers, for GetGuestDetails.
std::vector<std::string> StorageDrivers();

}  // namespace kata::agent
