// SPDX-License-Identifier: Apache-2.0
// What a process of a container finds in its root before it runs: its executable and its home.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::agent {

// The value of name in a list of "name=value"; nullptr when it is missing. The last one counts, as in execve's readers.
const std::string* FindVariable(const std::vector<std::string>& env, const std::string& name, std::string* value);

// The path to execute for name, seen with the rights of the calling process and its working directory: name itself when
// it has a slash, or the first in PATH of env. Errors are in runc's words (container.h).
Result<std::string> FindCommand(const std::string& name, const std::vector<std::string>& env);

// The home of uid in the passwd file's text; "/" when it has none.
std::string HomeOf(const std::string& passwd, uid_t uid);
// The same from /etc/passwd.
std::string FindHome(uid_t uid);

}  // namespace kata::agent
