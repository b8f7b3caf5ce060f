// SPDX-License-Identifier: Apache-2.0
// Parses the JSON of the OCI runtime-spec into the agent protocol's messages. Checks types and required fields, and
// refuses fields that a guest cannot honour.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

// The largest spec that fits into one message to the agent (rpc/frame.h, kMaxPayload).
inline constexpr size_t kMaxSpecBytes = 4U << 20U;

// Parses a config.json (runtime-spec 1.1, Linux). Unknown fields are ignored, null counts as absent. Messages begin
// with name:
//   config.json:3:14: ...                                                           a JSON syntax error: line and
//   column config.json: process.rlimits[0].hard: expected an unsigned number, found "abc"
// kInvalidArgument: a wrong or missing field; kUnimplemented: a field that this runtime cannot honour; kOutOfRange:
// more than kMaxSpecBytes. Fields that have no effect in a guest (apparmorProfile and others) add a warning to
// warnings, if it is not null.
Result<grpc::Spec> ParseSpec(std::string_view json, std::vector<std::string>* warnings = nullptr,
                             std::string_view name = "config.json");

// Parses one process object, as for `exec --process`. Errors and warnings as for ParseSpec.
Result<grpc::Process> ParseProcess(std::string_view json, std::vector<std::string>* warnings = nullptr,
                                   std::string_view name = "process.json");

// Parses one linux.resources object, as for `update --resources` and the Task service. Errors and warnings as for
// ParseSpec.
Result<grpc::LinuxResources> ParseResources(std::string_view json, std::vector<std::string>* warnings = nullptr,
                                            std::string_view name = "resources.json");

}  // namespace kata::oci
