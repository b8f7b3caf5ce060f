// SPDX-License-Identifier: Apache-2.0
// The config.json that `kata-runtime spec` writes.
#pragma once

#include <sys/types.h>

#include <string>

namespace kata::oci {

// A spec like that of `runc spec`: a shell in ./rootfs. JSON, indented with tabs, ending with a newline.
std::string DefaultSpecJson();

// As above, for an unprivileged user: with a user namespace in which this user is root, without a network namespace and
// without resources.
std::string RootlessSpecJson(uid_t uid, gid_t gid);

}  // namespace kata::oci
