// SPDX-License-Identifier: Apache-2.0
// Kubernetes' fsGroup: a volume belongs to a group, which may write to it, and so does what is made in it.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Gives the directory at the storage's mount point, and all that is in its file system, to the group of fs_group, if
// there is one. OnRootMismatch: only when the directory itself is not the group's yet. A read-only storage stays as it
// is.
Result<> ApplyGroup(const GuestDir& root, const grpc::Storage& storage);

}  // namespace kata::agent
