// SPDX-License-Identifier: Apache-2.0
// The container's files, shown in its stand-in's mount namespace.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "oci/bundle.h"

namespace kata::runtime {

// Engines copy files in and out through /proc/PID/ns/mnt of the container's process ("podman cp"). This makes the
// stand-in's mount namespace show what runc's would: the bundle's rootfs as "/", with the binds of its mounts. What
// only the guest has (proc, tmpfs, and so on) is an empty directory that cannot be written, so that nothing lands where
// the container does not see it. Nothing of the host is left in it. To be called once the guest has made the mount
// points, for a stand-in with a mount namespace of its own.
Result<> ShowContainer(pid_t standin, const oci::Bundle& bundle);

}  // namespace kata::runtime
