// SPDX-License-Identifier: Apache-2.0
// The sizes of hugetlbfs volumes in the guest.
#pragma once

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::sandbox {

// Gives each hugetlbfs storage of the request a size, which the kubelet's mounts lack: the container's limit for pages
// of its page size. kInvalidArgument: the spec has no such limit.
Result<> SizeHugePages(grpc::CreateContainerRequest& request);

}  // namespace kata::sandbox
