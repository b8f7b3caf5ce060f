// SPDX-License-Identifier: Apache-2.0
// startContainer hooks: programs of the container that run in it just before its command.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/container/seccomp.h"
#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// The state of the runtime-spec as JSON, which each hook finds on stdin.
std::string StateJson(const grpc::Spec& spec, const std::string& id, pid_t pid);

// Runs them one after the other, as the container's user and under its filter, which this process does not have yet.
// env is for a hook that names none. A hook that fails, or takes longer than its timeout (seconds), fails the start;
// what it wrote is in the error.
Result<> RunStartContainerHooks(const grpc::Spec& spec, const std::string& id, const std::vector<std::string>& env,
                                const SeccompFilter& filter);

}  // namespace kata::agent
