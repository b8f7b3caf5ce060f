// SPDX-License-Identifier: Apache-2.0
// What can be checked of a spec without a guest: the rules of the runtime-spec, and runc's where engines rely on them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

// Longer ids do not fit into one name of a directory.
inline constexpr size_t kMaxIdLength = 255;

// runc's rule: letters, digits, "_", "+", "-" and ".", but neither "." nor ".."; at least one, at most kMaxIdLength.
// The same for containers, sandboxes and execs. kInvalidArgument.
Result<> ValidateId(std::string_view id);

// Checks a whole spec; the message begins with the JSON path at fault. Makes it normal where runc does, with a warning:
// a relative mount destination gets a "/", unknown capabilities go. kInvalidArgument, kUnimplemented.
Result<> Validate(grpc::Spec& spec, std::vector<std::string>* warnings = nullptr);

// The same for a process on its own; prefix stands in front of each path, for example "process.".
Result<> ValidateProcess(grpc::Process& process, std::vector<std::string>* warnings = nullptr,
                         std::string_view prefix = "");

// Values of cgroups in their ranges; prefix for example "linux.resources.".
Result<> ValidateResources(const grpc::LinuxResources& resources, std::string_view prefix = "");

}  // namespace kata::oci
