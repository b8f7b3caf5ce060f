// SPDX-License-Identifier: Apache-2.0
// startContainer hooks: programs of the container that run in it just before its command.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// The state of the runtime-spec as JSON, which each hook finds on stdin.
std::string StateJson(const grpc::Spec& spec, const std::string& id, pid_t pid);

// Runs them one after the other. A hook that fails, or takes longer than its timeout (seconds), fails the start; what
// it wrote is in the error.
Result<> RunStartContainerHooks(const grpc::Spec& spec, const std::string& id);

}  // namespace kata::agent
