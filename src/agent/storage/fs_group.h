// SPDX-License-Identifier: Apache-2.0
// Kubernetes' fsGroup: gives a volume to a group that may write to it and that new files in it inherit.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Gives the directory at the storage's mount point, and everything below it in the same file system, to the group
// fs_group.group_id. Does nothing if the storage has no fs_group or is read-only, or if the policy is OnRootMismatch
// and the directory itself belongs to the group already. kInvalidArgument: directories are nested more than 1024 deep;
// otherwise the errors of GuestDir and of the system calls. After an error some files may belong to the group already;
// the directory itself is given last.
Result<> ApplyGroup(const GuestDir& root, const grpc::Storage& storage);

}  // namespace kata::agent
