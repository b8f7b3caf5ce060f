// SPDX-License-Identifier: Apache-2.0
// What other areas need of ACLs.
#pragma once

#include <sys/types.h>

#include <string>

namespace kata::files {

// Gives this user all rights to a file of mode 0640: setxattr's result.
long SetAccessOf(const std::string& path, uid_t user);
// "u::rw- u:1000:rwx m::rwx", or the name of errno.
std::string AccessAcl(const std::string& path);

}  // namespace kata::files
