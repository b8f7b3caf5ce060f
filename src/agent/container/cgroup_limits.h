// SPDX-License-Identifier: Apache-2.0
// linux.resources of the runtime-spec as writes to cgroup v2 files (kernel's admin-guide/cgroup-v2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/container/cgroup.h"
#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// One write. Where file is missing, other_file (if any) takes other_value; where that is missing too, it is an error
// that names the field, unless it is of no consequence.
struct Limit {
  std::string file;
  std::string value;
  std::string field;  // "linux.resources.memory.limit"
  std::string other_file = {};
  std::string other_value = {};
  bool optional = false;
};

// cpu.shares (2..262144) on the scale of cpu.weight (1..10000), as runc and crun do.
uint64_t WeightFromShares(uint64_t shares);
// blkio's weight (10..1000) on the scale of io.weight (1..10000).
uint64_t IoWeight(uint64_t weight);

// A limit that is not set is left out. kInvalidArgument: values that contradict each other; kUnimplemented: what cgroup
// v2 has no place for.
Result<std::vector<Limit>> TranslateResources(const grpc::LinuxResources& resources);

Result<> ApplyLimits(const Cgroup& cgroup, const std::vector<Limit>& limits);

}  // namespace kata::agent
