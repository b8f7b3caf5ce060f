// SPDX-License-Identifier: Apache-2.0
// linux.seccomp of the runtime-spec. The profile is compiled once, when the container is made, and the filter is loaded
// into each of its processes.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Compiles the profile with libseccomp and writes the filter to file, an empty memfd. System calls that libseccomp does
// not know are left out, as with runc. kInvalidArgument: an unknown action, operator, architecture or flag, with the
// field's name. kUnimplemented: SCMP_ACT_NOTIFY.
// On the architectures that the profile names, a system call with a higher number than all calls in the profile fails
// with ENOSYS, unless the default action permits it (as runc). So a C library falls back to an older call, where the
// default EPERM would look like missing rights.
Result<> CompileSeccomp(const grpc::LinuxSeccomp& profile, int file);

// A compiled filter in memory. Without code it is no filter at all.
struct SeccompFilter {
  uint32_t flags = 0;
  std::vector<sock_filter> code;
};

// Reads the filter that CompileSeccomp has written. An empty file gives no filter.
Result<SeccompFilter> ReadSeccomp(int file);

// Loads the filter into the calling process, which must have no_new_privs or CAP_SYS_ADMIN. Makes only the system call
// seccomp(2). So a caller that executes a program next makes no call in between that the filter could refuse. False:
// failed; errno is set.
bool LoadSeccomp(const SeccompFilter& filter);

}  // namespace kata::agent
