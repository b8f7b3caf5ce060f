// SPDX-License-Identifier: Apache-2.0
// The runtime-spec's JSON, read into the protocol's message: types, required fields, and fields that a guest cannot
// honour.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

// A larger spec would not fit into one message to the agent.
inline constexpr size_t kMaxSpecBytes = 4U << 20U;

// Reads a config.json (runtime-spec 1.1, Linux). Unknown fields are ignored, null counts as absent. name stands in
// front of each message:
//   config.json:3:14: ...                                                          what is no JSON: line and column
//   config.json: process.rlimits[0].hard: expected an unsigned number, found "abc"
// kInvalidArgument: wrong; kUnimplemented: a field that this system cannot honour; kOutOfRange: too large. What the
// host decides and the guest ignores (AppArmor, SELinux) is added to warnings, if there are any to add to.
Result<grpc::Spec> ParseSpec(std::string_view json, std::vector<std::string>* warnings = nullptr,
                             std::string_view name = "config.json");

// Reads one process object, as `exec --process` takes it.
Result<grpc::Process> ParseProcess(std::string_view json, std::vector<std::string>* warnings = nullptr,
                                   std::string_view name = "process.json");

// Reads one linux.resources object, as `update --resources` and the Task service take it.
Result<grpc::LinuxResources> ParseResources(std::string_view json, std::vector<std::string>* warnings = nullptr,
                                            std::string_view name = "resources.json");

}  // namespace kata::oci
