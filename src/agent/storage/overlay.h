// SPDX-License-Identifier: Apache-2.0
// The storage driver overlayfs: stacks directories of the guest as layers.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Mounts the overlay. The options lowerdir=, upperdir= and workdir= name directories below root. Kata's option
// io.katacontainers.fs-opt.overlay-rw makes the directories "upper" and "work" beside the mount point and uses them.
// kUnimplemented: another io.katacontainers. option, or an fs_group.
Result<> MakeOverlay(const GuestDir& root, const grpc::Storage& storage);

// Whether the storage has the option overlay-rw, and so needs RemoveOverlayDirectories at its end.
bool HasOverlayDirectories(const grpc::Storage& storage);
// Removes "upper" and "work" beside place, the mount point, after it has been unmounted.
Result<> RemoveOverlayDirectories(const Place& place);

}  // namespace kata::agent
