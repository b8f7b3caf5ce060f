// SPDX-License-Identifier: Apache-2.0
// linux.seccomp of the runtime-spec: compiled once, when the container is made, and loaded into each of its processes.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Compiles the profile with libseccomp into file (an empty memfd). System calls that libseccomp does not know are left
// out, as runc does; an unknown action, operator, architecture or flag is kInvalidArgument and names its field.
// A system call that is newer than all that the profile names is ENOSYS unless the default action lets it pass, so that
// a C library falls back to an older one instead of believing in a lack of rights.
Result<> CompileSeccomp(const grpc::LinuxSeccomp& profile, int file);

// A compiled filter in memory. The default is none.
struct SeccompFilter {
  uint32_t flags = 0;
  std::vector<sock_filter> code;
};

// Reads what CompileSeccomp wrote. An empty file is no filter.
Result<SeccompFilter> ReadSeccomp(int file);

// Loads it into the calling process, which has no_new_privs or CAP_SYS_ADMIN. One system call and nothing after it, so
// that a caller which executes a program next needs none that the filter could refuse. False: errno says why.
bool LoadSeccomp(const SeccompFilter& filter);

}  // namespace kata::agent
