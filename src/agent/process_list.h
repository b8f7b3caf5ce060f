// SPDX-License-Identifier: Apache-2.0
// Lists the processes of a container as JSON, with the data that `ps` needs.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "agent/user.h"

namespace kata::agent {

// Returns a JSON array with an object for each process. The columns of `ps -ef`: "pid", "ppid", "uid", "c", "stime"
// (HH:MM, UTC), "tty", "time", "cmd"; pids and ids are those of the guest. For other columns of ps(1): "stat" (the
// fields of /proc/PID/stat after the name, proc(5)), "comm", "gid", "ruid", "rgid", the names of the four ids as
// "user", "group", "ruser" and "rgroup" (empty if names has none), "now" (seconds since 1970), "up" (seconds since the
// guest booted) and "memory" (bytes of RAM in the guest). Processes that have exited since are left out. The list ends
// after 4096 processes. A command is cut at 4096 bytes, or less where there are many processes; rows for which 3 MiB
// would not do have "[comm]" for the command and no names.
std::string ListProcesses(const std::vector<pid_t>& pids, const UserNames& names);

}  // namespace kata::agent
