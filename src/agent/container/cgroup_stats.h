// SPDX-License-Identifier: Apache-2.0
// Reads a cgroup's resource usage into the protocol's CgroupStats.
#pragma once

#include "agent/container/cgroup.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Times are in nanoseconds, sizes in bytes. Fields of missing controllers are 0. The limit "max" is reported as the
// largest uint64_t; for pids, as 0.
Result<grpc::CgroupStats> ReadStats(const Cgroup& cgroup);

}  // namespace kata::agent
