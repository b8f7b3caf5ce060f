// SPDX-License-Identifier: Apache-2.0
// The rootfs and mounts of a container's spec: which are shared with the guest, and what the guest is told of them.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/container_disks.h"
#include "sandbox/files/shared_files.h"
#include "sandbox/host/mount_namespace.h"

namespace kata::sandbox {

// How a mount of a spec is to be understood: whether it binds, where its source is on the host (a relative one is below
// the bundle), and what of it is read-only.
bool IsBind(const grpc::Mount& mount);
std::string SourcePath(const grpc::Mount& mount, const std::string& bundle);
ReadOnly ReadOnlyOf(const grpc::Mount& mount);

// The names shared for one container, to be unshared in reverse order.
using SharedNames = std::vector<std::string>;

// Where a container's files are on the host.
struct HostFiles {
  std::string bundle;           // absolute; relative sources of mounts are relative to it
  std::string rootfs;           // absolute
  UniqueFd rootfs_tree;         // a detached tree in the place of rootfs; not valid: none
  bool rootfs_on_disk = false;  // root.path is the guest's already
  bool pod = false;             // of a pod: shared memory and memory volumes are one for all its containers
};

// Shares the rootfs and the bind mounts of the request's spec, and rewrites root.path and the mounts' sources to the
// guest's paths; what is to be made in the guest instead is added to its storages. Block devices and file systems on
// them become disks. names gets what was shared, also after an error, whose message begins with the JSON path at fault
// ("mounts[2].source: ...").
Result<> ShareWithGuest(SharedFiles& shared, const MountNamespaces& spaces, const std::string& container,
                        HostFiles files, grpc::CreateContainerRequest& request, ContainerDisks& disks,
                        SharedNames& names);

// The storage for the shared memory of a pod, which its containers bind from there, as large as what the spec binds to
// /dev/shm, else 64 MiB. In the mount namespace of the bundle.
grpc::Storage PodShm(const grpc::Spec& spec, const std::string& bundle);

// The same shared memory for a container whose spec has a tmpfs of its own at /dev/shm: there is no directory of the
// host that would say so.
void JoinPodShm(grpc::Spec& spec);

// The lines of the file that the spec binds to /etc/resolv.conf; none when it binds nothing there.
Result<std::vector<std::string>> DnsOf(const grpc::Spec& spec, const std::string& bundle);

}  // namespace kata::sandbox
