// SPDX-License-Identifier: Apache-2.0
// Mounts a rootfs that the caller describes by mounts (containerd.types.Mount) as a detached tree, visible in no
// namespace.
#pragma once

#include <google/protobuf/repeated_field.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/mount.pb.h"
#include "sandbox/host/mount_namespace.h"

namespace kata::sandbox {

using RootfsMounts = google::protobuf::RepeatedPtrField<containerd::types::Mount>;

// Mounts them in order, in a temporary mount namespace, and returns a clone of the result. rootfs: the existing
// directory on which they are mounted. The option loop attaches an image file to a loop device; uidmap and gidmap
// (lists of INSIDE:OUTSIDE:SIZE) map the ids of the mount, or of an overlay's lower layers, as containerd does: its
// upper one has the ids from outside already. kInvalidArgument: too many mounts, a mount without a type or source, a
// wrong mapping, or options beyond what mount(2) takes (a page). Other errors: the kernel's. The message has the
// mount's number.
Result<UniqueFd> MountRootfs(const RootfsMounts& mounts, const std::string& rootfs, const MountNamespaces& spaces);

}  // namespace kata::sandbox
