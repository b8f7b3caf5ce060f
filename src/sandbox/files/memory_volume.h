// SPDX-License-Identifier: Apache-2.0
// Volumes in memory as the kubelet lays them out: emptyDirs with the medium Memory or HugePages, whole or a part.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::sandbox {

// The guest's replacement for a path of the host.
struct MemoryVolume {
  std::vector<grpc::Storage> storages;  // to be made, in order
  std::string path;                     // in the guest
};

// A storage of a file system in the guest's memory.
grpc::Storage MemoryStorage(const char* fstype, std::string mount_point, const std::vector<std::string>& options);
// How large a file system is, in bytes; 0 when that is not known.
uint64_t FilesystemSize(int fd);

// What a bind's source, opened at this path without links, comes to; nothing when it is no such volume. It is of the
// guest's memory then, with the owner, mode and size that the host's has, and the same for all containers of the pod.
Result<std::optional<MemoryVolume>> MemoryVolumeAt(int source, const std::string& path);

}  // namespace kata::sandbox
