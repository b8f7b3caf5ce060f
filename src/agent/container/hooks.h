// SPDX-License-Identifier: Apache-2.0
// startContainer hooks of the runtime-spec: programs that run inside the container just before its command.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/container/seccomp.h"
#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// The container's state as JSON (runtime-spec, "State"), which each hook reads on stdin.
std::string StateJson(const grpc::Spec& spec, const std::string& id, pid_t pid);

// Runs the startContainer hooks one after the other, as the caller's user. filter is loaded into each hook, and not
// into the caller. A hook without an env of its own gets env. kFailedPrecondition: a hook has failed.
// kDeadlineExceeded: a hook has exceeded its timeout (in seconds) and was killed. Both errors contain the end of the
// hook's output.
Result<> RunStartContainerHooks(const grpc::Spec& spec, const std::string& id, const std::vector<std::string>& env,
                                const SeccompFilter& filter);

}  // namespace kata::agent
