// SPDX-License-Identifier: Apache-2.0
// The JSON that `runc events` prints, one object without a newline. The fields and their order are those of runc 1.1.
#pragma once

#include <string>

#include "protocol/agent.pb.h"

namespace kata::runtime {

// {"type":"stats","id":ID,"data":{...}}. Text in it from the guest is made safe (ForeignText). The guest has cgroup v2:
// what that does not count, such as the cpuset's, is 0 as with runc there. The interfaces are those of the guest.
std::string StatsEvent(const std::string& id, const grpc::StatsContainerResponse& stats);

// {"type":"oom","id":ID}
std::string OomEvent(const std::string& id);

}  // namespace kata::runtime
