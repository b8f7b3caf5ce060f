// SPDX-License-Identifier: Apache-2.0
// Looks up, in the container's root, the executable and the home directory of a process before it is executed.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::agent {

// Stores the value of the variable name, from a list of "NAME=VALUE", in *value and returns value; nullptr if env has
// no such variable. If there are several, the last one counts.
const std::string* FindVariable(const std::vector<std::string>& env, const std::string& name, std::string* value);

// The path of the executable for name: name itself if it contains a slash, else the first match in PATH of env. Checked
// with the rights and the working directory of the calling process. kNotFound, kPermissionDenied: in runc's words, see
// Container::Create.
Result<std::string> FindCommand(const std::string& name, const std::vector<std::string>& env);

// The home directory of uid in passwd, the text of a passwd(5) file; "/" if it has no entry with an absolute path.
std::string HomeOf(const std::string& passwd, uid_t uid);
// HomeOf /etc/passwd; "/" if that is no readable regular file of at most 1 MiB.
std::string FindHome(uid_t uid);

}  // namespace kata::agent
