// SPDX-License-Identifier: Apache-2.0
// linux.seccomp of the runtime-spec: compiled once, when the container is made, and loaded into each of its processes.
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Compiles the profile with libseccomp into file (an empty memfd). System calls that libseccomp does not know are left
// out, as runc does; an unknown action, operator, architecture or flag is kInvalidArgument and names its field.
Result<> CompileSeccomp(const grpc::LinuxSeccomp& profile, int file);

// Loads what CompileSeccomp wrote into the calling process: with no_new_privs or CAP_SYS_ADMIN. An empty file is no
// filter.
Result<> LoadSeccomp(int file);

}  // namespace kata::agent
