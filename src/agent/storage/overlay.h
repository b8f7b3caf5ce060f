// SPDX-License-Identifier: Apache-2.0
// The storage driver overlayfs: layers that are in the guest already, one above the other.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Mounts it. lowerdir=, upperdir= and workdir= name directories below root. With Kata's word
// io.katacontainers.fs-opt.overlay-rw the directories upper and work beside the mount point are made and used.
Result<> MakeOverlay(const GuestDir& root, const grpc::Storage& storage);

// The word above is among the options; then RemoveOverlayFolders is for the end.
bool HasOverlayDirectories(const grpc::Storage& storage);
// Removes upper and work beside the place of the mount point.
Result<> RemoveOverlayDirectories(const Place& place);

}  // namespace kata::agent
