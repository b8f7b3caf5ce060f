// SPDX-License-Identifier: Apache-2.0
// Attributes of a process that the agent sets from outside: OOM score, rlimits, scheduler and I/O priority.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Sets oomScoreAdj, rlimits, ioPriority and scheduler of the runtime-spec's process object on the process pid. The
// agent does this with its own privileges, since an init in a user namespace lacks them. pidfd must belong to pid:
// kAborted if that process has exited, because pid may be reused. kInvalidArgument: a bad value, with the field's name.
Result<> ApplyAttributes(pid_t pid, int pidfd, const grpc::Process& process);

// Sets the personality(2) of the calling process (linux.personality). kUnimplemented: personality flags.
Result<> ApplyPersonality(const grpc::LinuxPersonality& personality);

}  // namespace kata::agent
