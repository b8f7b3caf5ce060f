// SPDX-License-Identifier: Apache-2.0
// The rootfs and mounts of a container's spec: what of them is shared with the guest, and what the agent is told.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/container_disks.h"
#include "sandbox/files/shared_files.h"
#include "sandbox/host/mount_namespace.h"

namespace kata::sandbox {

// How a mount of a spec is interpreted: whether it is a bind, the absolute path of its source on the host (a relative
// one is below the bundle), whether it has the mounts below the source too, and how much of it is read-only.
bool IsBind(const grpc::Mount& mount);
bool IsRecursive(const grpc::Mount& mount);
std::string SourcePath(const grpc::Mount& mount, const std::string& bundle);
ReadOnly ReadOnlyOf(const grpc::Mount& mount);

// The names in SharedFiles of one container, in the order in which they were added. They are removed in reverse order.
using SharedNames = std::vector<std::string>;

// Where a container's files are on the host.
struct HostFiles {
  std::string bundle;           // absolute; relative sources of mounts are relative to it
  std::string rootfs;           // absolute
  UniqueFd rootfs_tree;         // a detached tree to use instead of rootfs; not valid: none
  bool rootfs_on_disk = false;  // root.path is a path of the guest already (PutRootfsOnDisk)
  bool pod = false;             // a pod of containerd's: its containers share /dev/shm and memory volumes
};

// Shares the rootfs and the bind mounts of the request's spec with the guest, and rewrites root.path and the mounts'
// sources to paths of the guest. Adds storages for what is made in the guest instead. Block devices and file systems on
// them become disks. Adds to `names` what was shared, also before an error, so that the caller can unshare it. An
// error's message begins with the JSON path at fault ("mounts[2].source: ...").
Result<> ShareWithGuest(SharedFiles& shared, const MountNamespaces& spaces, const std::string& container,
                        HostFiles files, grpc::CreateContainerRequest& request, ContainerDisks& disks,
                        SharedNames& names);

// The storage for a pod's shared memory, which its containers bind. It is as large as what the spec binds to /dev/shm,
// otherwise 64 MiB. To be called in the mount namespace of the bundle.
grpc::Storage PodShm(const grpc::Spec& spec, const std::string& bundle);

// Gives a container the pod's shared memory where its spec has a tmpfs at /dev/shm. For pods without a container of
// their own: their containers' specs bind no directory of the host there.
void JoinPodShm(grpc::Spec& spec);

// The path of the file that the spec binds to /etc/resolv.conf; empty when it binds nothing there.
std::string ResolvConfOf(const grpc::Spec& spec, const std::string& bundle);
// The non-empty lines of that file; none when the path is empty. To be called in the mount namespace of the bundle.
Result<std::vector<std::string>> DnsOf(const std::string& resolv_conf);

}  // namespace kata::sandbox
