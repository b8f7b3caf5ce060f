// SPDX-License-Identifier: Apache-2.0
// The device nodes of a container: the runtime-spec's default devices and links in /dev, and those of linux.devices.
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Makes the devices and links inside root. Must be called in the base (base_root.h). Makes nothing if the spec has a
// bind mount at /dev, which counts as complete. If mknod(2) is not possible (in a user namespace, on a read-only file
// system, or with another file in the way), bind-mounts the guest's node of the same path and number instead.
Result<> MakeDevices(const grpc::Spec& spec, int root);

// Whether fd (O_PATH suffices) is the character device with these numbers.
bool IsCharDevice(int fd, unsigned major, unsigned minor);

}  // namespace kata::agent
