// SPDX-License-Identifier: Apache-2.0
// What a container's mounts need in a rootfs that the guest may not write to.
#pragma once

#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::sandbox {

// Whether the spec mounts something on /dev. Without that the guest makes the device nodes in the rootfs itself.
bool CoversDev(const grpc::Spec& spec);

// Makes the directories and files on which the spec's mounts will be, and process.cwd, in the rootfs, beneath it
// whatever links it has. Those that are covered by a mount before them are not the rootfs's. What cannot be made, since
// the rootfs is on a read-only file system for example, is left: the guest says so if it is needed. In the mount
// namespace of the bundle, whose directory relative sources are relative to.
Result<> MakeMountPoints(int rootfs, const grpc::Spec& spec, const std::string& bundle);

}  // namespace kata::sandbox
