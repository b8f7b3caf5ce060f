// SPDX-License-Identifier: Apache-2.0
// The config.json that `kata-runtime spec` writes.
#pragma once

#include <sys/types.h>

#include <string>

namespace kata::oci {

// A shell in ./rootfs, as runc's `spec` writes it: JSON, indented with tabs, ending with a newline.
std::string DefaultSpecJson();

// The same for a user without privileges: a user namespace in which they are root, no network namespace, no cgroup.
std::string RootlessSpecJson(uid_t uid, gid_t gid);

}  // namespace kata::oci
