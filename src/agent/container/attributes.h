// SPDX-License-Identifier: Apache-2.0
// What a process has that its parent can set: rlimits, OOM score, scheduler and io priority.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Sets them from outside, with the agent's privileges, which a container's init in a user namespace does not have.
// pidfd guards against a pid that has been given to another process.
Result<> ApplyAttributes(pid_t pid, int pidfd, const grpc::Process& process);

// personality(2) of the calling process.
Result<> ApplyPersonality(const grpc::LinuxPersonality& personality);

}  // namespace kata::agent
