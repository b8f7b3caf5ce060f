// SPDX-License-Identifier: Apache-2.0
// Checks of a spec that need no look at the guest: what is missing, and what this agent does not do.
#pragma once

#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// kInvalidArgument or kUnimplemented, with the field.
Result<> ValidateSpec(const std::string& id, const grpc::Spec& spec);
Result<> ValidateProcess(const grpc::Process& process);

}  // namespace kata::agent
