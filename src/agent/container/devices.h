// SPDX-License-Identifier: Apache-2.0
// /dev of a container: the runtime-spec's default devices and links, and those that linux.devices asks for.
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Makes them inside root, in the base. Nothing is made when the spec binds a directory at /dev: that one is complete.
// Where a device cannot be made (a user namespace, a filesystem that refuses), the guest's own is bound.
Result<> MakeDevices(const grpc::Spec& spec, int root);

// Whether the device behind fd (O_PATH will do) is this one.
bool IsCharDevice(int fd, unsigned major, unsigned minor);

}  // namespace kata::agent
