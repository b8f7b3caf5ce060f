// SPDX-License-Identifier: Apache-2.0
// Makes the mounts of a container, by descriptors only. Sources are opened while the guest's paths are still visible;
// destinations are resolved inside the container's root.
#pragma once

#include <vector>

#include "agent/container/mount_options.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// A mount of the spec that is not attached yet.
struct PreparedMount {
  MountOptions options;
  bool is_file = false;  // the mount point must be a file
  UniqueFd tree;         // the detached mount; not valid: MakeMounts makes a filesystem in the container's namespaces
};

// Takes from the guest what the spec's mounts need: copies of bind sources, and filesystems on a device. If the
// container has no cgroup namespace of its own, a mount of type cgroup is a copy of the mount at cgroup, the path of
// the container's cgroup in the guest. Must be called while the guest's mounts are visible.
Result<std::vector<PreparedMount>> PrepareMounts(const grpc::Spec& spec, const std::string& cgroup,
                                                 bool own_cgroup_namespace);

// Attaches the mounts inside root in the order of the spec, and makes missing mount points. Must be called in the base
// (base_root.h), after the container's namespaces have been entered.
Result<> MakeMounts(const grpc::Spec& spec, std::vector<PreparedMount>& prepared, int root);

// Makes /dev and every tmpfs read-only where the spec demands it. MakeMounts leaves them writable, since devices and
// mount points are made in them. Must be called when nothing else is to be made in the root.
Result<> FinishMounts(const grpc::Spec& spec, const std::vector<PreparedMount>& made);

// Copies the content of the directory source to the empty directory target (tmpcopyup): directories, files, symbolic
// links and FIFOs, with modes and owners. *limit is the number of bytes that may be copied, and is decremented.
// kResourceExhausted: more than that.
Result<> CopyTree(int source, int target, uint64_t* limit);

}  // namespace kata::agent
