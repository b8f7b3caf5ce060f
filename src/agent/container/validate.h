// SPDX-License-Identifier: Apache-2.0
// Checks of a spec that do not depend on the state of the guest: missing or malformed fields, and unsupported features.
#pragma once

#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Both return kInvalidArgument or kUnimplemented with the field's name. ValidateSpec includes ValidateProcess. id names
// directories: it has 1 to 255 bytes, has no "/", and is neither "." nor ".." (else kInvalidArgument).
Result<> ValidateSpec(const std::string& id, const grpc::Spec& spec);
Result<> ValidateProcess(const grpc::Process& process);

}  // namespace kata::agent
