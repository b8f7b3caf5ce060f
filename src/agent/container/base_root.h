// SPDX-License-Identifier: Apache-2.0
// The place from which a container's root is put together: a mount namespace with nothing of the guest in it but /proc,
// /sys and /dev, and an empty directory for the container's root.
//
// It exists for three reasons. A guest's root is an initramfs, which pivot_root(2) cannot leave. Beneath a container's
// root nothing of the guest may be left that an unmount could bring to light. And a user namespace may mount a proc or
// a sysfs only where it sees one, and may not unmount what it was born with.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

inline constexpr const char* kContainerRoot = "/root";  // in the base

// Leaves the mounts of the caller for a new mount namespace whose root is a base. Everything that the container needs
// of the guest must have been taken as detached mounts before. Needs CAP_SYS_ADMIN in the initial user namespace.
Result<> EnterBase();

// A new mount namespace in which everything is a slave of what it was copied from: the guest's mounts, with nothing
// leaking back.
Result<> LeaveMountNamespace();

// Makes the mount behind root, attached in the base, the root of the mount namespace, and drops the base.
Result<> PivotInto(int root);

}  // namespace kata::agent
