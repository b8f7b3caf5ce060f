// SPDX-License-Identifier: Apache-2.0
// Usage statistics of a mounted volume, and growing a volume after its disk has grown.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/csi.pb.h"

namespace kata::agent {

// Bytes and inodes, used and in all, of the file system that contains the directory path, which must be below root.
Result<grpc::VolumeStatsResponse> VolumeStats(const GuestDir& root, const std::string& path);

// Resizes the ext4 file system mounted at path, which must be below root, to size bytes (0: the size of its disk).
// kUnimplemented: another file system.
Result<> ResizeVolume(const GuestDir& root, const std::string& path, uint64_t size);

}  // namespace kata::agent
