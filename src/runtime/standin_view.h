// SPDX-License-Identifier: Apache-2.0
// Shows the container's files in the mount namespace of its stand-in.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "oci/bundle.h"

namespace kata::runtime {

// Engines copy files in and out through /proc/PID/ns/mnt of the container's process ("podman cp"). This changes the
// stand-in's mount namespace to what runc's container would have: the bundle's rootfs as "/", with its bind mounts.
// Mounts that exist only in the guest (proc, tmpfs and so on) are covered by empty read-only directories, so that
// nothing is written to where the container cannot see it. Mounts of the host are removed. The stand-in must have a
// mount namespace of its own, and the guest must have created the mount points before.
Result<> ShowContainer(pid_t standin, const oci::Bundle& bundle);

}  // namespace kata::runtime
