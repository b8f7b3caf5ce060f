// SPDX-License-Identifier: Apache-2.0
// Volumes of huge pages in the guest: as large as the container's limit for pages of their size.
#pragma once

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::sandbox {

// Gives each hugetlbfs storage of the request a size, which the kubelet's mounts do not say. kInvalidArgument: the
// spec has no limit for pages of this size.
Result<> SizeHugePages(grpc::CreateContainerRequest& request);

}  // namespace kata::sandbox
