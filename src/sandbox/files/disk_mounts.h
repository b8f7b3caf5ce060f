// SPDX-License-Identifier: Apache-2.0
// Mounts of file systems on block devices and images of the host, which the guest makes in the host's place.
#pragma once

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/container_disks.h"
#include "sandbox/files/rootfs_mounts.h"

namespace kata::sandbox {

// Whether it is a rootfs that the guest can mount: one mount of a file system that the guest's kernel knows and that is
// on a disk. Others, such as overlay, are mounted on the host.
bool IsRootfsOnDisk(const RootfsMounts& mounts);
// Makes such a rootfs the root.path of the request's spec.
Result<> PutRootfsOnDisk(const RootfsMounts& mounts, ContainerDisks& disks, grpc::CreateContainerRequest& request);

// Whether a mount of a spec is of a file system on a disk, which the guest's kernel knows.
bool IsMountOnDisk(const grpc::Mount& mount);
// Makes such a mount a bind of the guest's file system. field: of the source, for messages.
Result<> PutMountOnDisk(const std::string& field, const std::string& path, ContainerDisks& disks, grpc::Mount& mount,
                        grpc::CreateContainerRequest& request);
// The same mount as one for the host to make, and what is left of it then, a bind.
containerd::types::Mount TakeMountForHost(const std::string& path, grpc::Mount& mount);

}  // namespace kata::sandbox
