// SPDX-License-Identifier: Apache-2.0
// A rootfs that a caller describes by mounts (containerd.types.Mount), as a detached tree that is visible nowhere.
#pragma once

#include <google/protobuf/repeated_field.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/mount.pb.h"
#include "sandbox/host/mount_namespace.h"

namespace kata::sandbox {

using RootfsMounts = google::protobuf::RepeatedPtrField<containerd::types::Mount>;

// Mounts them one over the other, in a mount namespace that only lives for that, and returns a clone of the result. The
// rootfs directory is where they would be mounted; it must exist. The option loop is for an image file.
// kInvalidArgument for a mount without a type or source, or options beyond what mount(2) takes (a page); else the
// kernel's refusal with the mount's number.
Result<UniqueFd> MountRootfs(const RootfsMounts& mounts, const std::string& rootfs, const MountNamespaces& spaces);

}  // namespace kata::sandbox
