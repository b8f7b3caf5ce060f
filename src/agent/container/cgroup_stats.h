// SPDX-License-Identifier: Apache-2.0
// A cgroup's usage, as the agent protocol reports it.
#pragma once

#include "agent/container/cgroup.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Files of controllers that are not there leave their fields at 0. Times are in nanoseconds, sizes in bytes; a limit
// that is "max" is the largest number, for pids 0.
Result<grpc::CgroupStats> ReadStats(const Cgroup& cgroup);

}  // namespace kata::agent
