// SPDX-License-Identifier: Apache-2.0
// Translates linux.resources of the runtime-spec into writes to cgroup v2 files (the kernel's
// admin-guide/cgroup-v2.rst).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/container/cgroup.h"
#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// One write. If the cgroup has no such file, other_value is written to other_file. If that is missing too, ApplyLimits
// fails with the field's name, or skips an optional limit.
struct Limit {
  std::string file;
  std::string value;
  std::string field;  // below linux.resources, such as "memory.limit"
  std::string other_file = {};
  std::string other_value = {};
  bool optional = false;
};

// Converts blockIO.weight (10..1000) to io.weight (1..10000).
uint64_t IoWeight(uint64_t weight);

// The writes for all limits that are set. kInvalidArgument: a bad value, or values that contradict each other.
// kUnimplemented: a limit that cgroup v2 does not have. Some cgroup v1 settings that engines send by default are
// ignored with a warning.
Result<std::vector<Limit>> TranslateResources(const grpc::LinuxResources& resources);

// Makes the writes, and stops at the first error. kUnimplemented: the cgroup lacks the file. kInvalidArgument: the
// kernel refuses the value.
Result<> ApplyLimits(const Cgroup& cgroup, const std::vector<Limit>& limits);

}  // namespace kata::agent
