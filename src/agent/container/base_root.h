// SPDX-License-Identifier: Apache-2.0
// The base: a mount namespace in which a container's root is assembled. Of the guest it contains only /proc, /sys and
// /dev, and it has an empty directory for the container's root.
//
// It exists for three reasons. The guest's root is an initramfs, which pivot_root(2) cannot replace. No mount of the
// guest may remain beneath the container's root, where an unmount would expose it. And a process in a user namespace
// may mount proc or sysfs only if one is visible in its mount namespace, and cannot unmount what that namespace began
// with (mount_namespaces(7)).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

inline constexpr const char* kContainerRoot = "/root";  // the empty directory in the base

// Turns the caller's mount namespace into a base. The caller must be in a mount namespace of its own
// (LeaveMountNamespace), and must have taken all mounts of the guest that the container needs as detached mounts before
// (CloneMount). Needs CAP_SYS_ADMIN in the initial user namespace.
Result<> EnterBase();

// Moves the caller into a new mount namespace in which every mount is a slave of the original: mounts of the guest
// propagate into it, and its own mounts do not propagate back.
Result<> LeaveMountNamespace();

// Makes the mount behind root, which is attached in the base, the root of the mount namespace, and detaches the base.
Result<> PivotInto(int root);

}  // namespace kata::agent
