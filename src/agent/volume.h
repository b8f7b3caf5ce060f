// SPDX-License-Identifier: Apache-2.0
// Usage statistics of a mounted volume, and growing a volume after its disk has grown.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/csi.pb.h"

namespace kata::agent {

// Bytes and inodes, used and in all, of the file system that contains the directory path, which must be below root.
// Errors: those of GuestDir; the errno of fstatfs(2).
Result<grpc::VolumeStatsResponse> VolumeStats(const GuestDir& root, const std::string& path);

// Resizes the ext4 file system mounted at path, which must be below root, to size bytes (0: the size of its disk).
// Blocks the agent's only thread until the kernel has resized it. kUnimplemented: another file system; otherwise the
// errors of GuestDir and the errno of the ioctl.
Result<> ResizeVolume(const GuestDir& root, const std::string& path, uint64_t size);

}  // namespace kata::agent
