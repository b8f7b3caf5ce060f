// SPDX-License-Identifier: Apache-2.0
// The checks of a spec that need no guest: the rules of the OCI runtime-spec, and those of runc that engines rely on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

// The longest id, in bytes: it names a directory (NAME_MAX).
inline constexpr size_t kMaxIdLength = 255;

// Checks the id of a container, a sandbox or an exec by runc's rule: 1 to kMaxIdLength characters, which are ASCII
// letters, digits, "_", "+", "-" and ".", but neither "." nor "..". kInvalidArgument.
Result<> ValidateId(std::string_view id);

// Checks a whole spec. Messages begin with the JSON path of the wrong field. Normalizes the spec where runc does, with
// a warning: a relative mount destination gets a leading "/", unknown capabilities are removed. kInvalidArgument,
// kUnimplemented.
Result<> Validate(grpc::Spec& spec, std::vector<std::string>* warnings = nullptr);

// As Validate, for a single process; prefix begins each JSON path, for example "process.".
Result<> ValidateProcess(grpc::Process& process, std::vector<std::string>* warnings = nullptr,
                         std::string_view prefix = "");

// Checks the ranges of resource limits; prefix begins each JSON path, for example "linux.resources.".
Result<> ValidateResources(const grpc::LinuxResources& resources, std::string_view prefix = "");

}  // namespace kata::oci
