// SPDX-License-Identifier: Apache-2.0
// Volumes in memory, in the kubelet's layout: emptyDirs with the medium Memory or HugePages, and subPaths of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::sandbox {

// What replaces a path of the host in the guest.
struct MemoryVolume {
  std::vector<grpc::Storage> storages;  // to be made in the guest, in this order
  std::string path;                     // in the guest
};

// A storage for a file system in the guest's memory (the agent's ephemeral driver).
grpc::Storage MemoryStorage(const char* fstype, std::string mount_point, const std::vector<std::string>& options);
// The size of a file system in bytes. 0: unknown.
uint64_t FilesystemSize(int fd);

// What replaces a tmpfs of the host that a container has as /dev/shm: shared memory in the guest, since in a shared
// directory it could not be mapped coherently, and would be slow. The owner, mode and size are the host's. Containers
// to which their engine gives the same tmpfs, since they share an IPC namespace, share it in the guest, too.
Result<MemoryVolume> SharedMemoryAt(int source);

// The memory volume of a bind's source; nothing if it is no such volume. path: the real path of source, without
// symbolic links. The volume is made in the guest's memory, with the owner, mode and size of the host's, once for all
// containers of the pod.
Result<std::optional<MemoryVolume>> MemoryVolumeAt(int source, const std::string& path);

}  // namespace kata::sandbox
