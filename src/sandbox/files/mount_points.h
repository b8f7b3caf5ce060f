// SPDX-License-Identifier: Apache-2.0
// Mount points in a rootfs that the guest may not write to.
#pragma once

#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::sandbox {

// Whether /dev and each device of the spec are below a mount of the spec. Otherwise the guest makes device nodes in the
// rootfs itself.
bool CoversDevices(const grpc::Spec& spec);

// Makes the mount points of the spec's mounts, and process.cwd, in the rootfs, as root of the container. Symbolic links
// do not lead out of the rootfs. A path that an earlier mount covers is skipped. So is one that cannot be made, on a
// read-only file system for example: the guest reports an error if it needs it. To be called in the mount namespace of
// the bundle; relative sources are relative to the bundle's directory.
Result<> MakeMountPoints(int rootfs, const grpc::Spec& spec, const std::string& bundle);

}  // namespace kata::sandbox
