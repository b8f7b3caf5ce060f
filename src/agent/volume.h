// SPDX-License-Identifier: Apache-2.0
// Usage statistics of a mounted volume, and its growth with its disk.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/csi.pb.h"

namespace kata::agent {

// Bytes and inodes of the file system that path, below root, is in.
Result<grpc::VolumeStatsResponse> VolumeStats(const GuestDir& root, const std::string& path);

// Grows the ext4 file system at path to size bytes, after its disk has grown. kUnimplemented: another file system.
Result<> ResizeVolume(const GuestDir& root, const std::string& path, uint64_t size);

}  // namespace kata::agent
