// SPDX-License-Identifier: Apache-2.0
// Mounts of file systems on block devices and image files of the host that the guest makes instead of the host.
#pragma once

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/container_disks.h"
#include "sandbox/files/rootfs_mounts.h"

namespace kata::sandbox {

// Whether the guest can mount this rootfs: it is one mount, on a disk, of a file system that the guest's kernel knows.
// Others, such as overlay, are mounted on the host.
bool IsRootfsOnDisk(const RootfsMounts& mounts);
// Adds such a rootfs to the request's storages and makes it the root.path of its spec. Errors:
// ContainerDisks::AddMount's.
Result<> PutRootfsOnDisk(const RootfsMounts& mounts, ContainerDisks& disks, grpc::CreateContainerRequest& request);

// Whether a mount of a spec is a file system on a disk that the guest's kernel knows.
bool IsMountOnDisk(const grpc::Mount& mount);
// Adds such a mount to the request's storages and turns it into a bind of that. field: the name of its source for
// messages. path: its source on the host. Errors: ContainerDisks::AddMount's.
Result<> PutMountOnDisk(const std::string& field, const std::string& path, ContainerDisks& disks, grpc::Mount& mount,
                        grpc::CreateContainerRequest& request);
// Splits such a mount for the host: returns the mount that the host is to make, and leaves a bind of its result in
// `mount`.
containerd::types::Mount TakeMountForHost(const std::string& path, grpc::Mount& mount);

}  // namespace kata::sandbox
