// SPDX-License-Identifier: Apache-2.0
// The storage drivers: each makes a Storage message into a file system, or a directory, at its mount point.
#pragma once

#include <string_view>

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

struct StorageDriver {
  std::string_view name;
  bool mounts;  // false: it makes a directory
  // Makes the storage. The mount point is the driver's to make.
  Result<> (*make)(const GuestDir& root, const grpc::Storage& storage);
};

// nullptr: there is no such driver.
const StorageDriver* FindStorageDriver(std::string_view name);

}  // namespace kata::agent
