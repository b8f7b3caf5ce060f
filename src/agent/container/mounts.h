// SPDX-License-Identifier: Apache-2.0
// The mounts of a container, made from descriptors only: sources are taken while the guest's paths are still there,
// destinations are resolved inside the container's root.
#pragma once

#include <vector>

#include "agent/container/mount_options.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// One mount of the spec on its way.
struct PreparedMount {
  MountOptions options;
  bool is_file = false;  // the mount point is to be a file
  UniqueFd tree;         // what is mounted; not valid: a filesystem that is to be made in the container's namespaces
};

// Takes what the mounts need of the guest: bind sources, and filesystems with a device or paths in the guest. With
// own_cgroup_namespace false, cgroup (the container's, a path in the guest) stands for the filesystem of cgroups.
Result<std::vector<PreparedMount>> PrepareMounts(const grpc::Spec& spec, const std::string& cgroup,
                                                 bool own_cgroup_namespace);

// Makes them inside root, in order, with the mount points that are missing. In the base, after the namespaces are
// there.
Result<> MakeMounts(const grpc::Spec& spec, std::vector<PreparedMount>& prepared, int root);

// Makes those of them read-only that could not be from the beginning: /dev and every tmpfs, in which devices and mount
// points had still to be made. When nothing is to be made in the root any more.
Result<> FinishMounts(const grpc::Spec& spec, const std::vector<PreparedMount>& made);

// Copies what is in the directory source to the empty directory target: directories, files, links and FIFOs with their
// modes and owners (tmpcopyup). limit: bytes at most.
Result<> CopyTree(int source, int target, uint64_t* limit);

}  // namespace kata::agent
