// SPDX-License-Identifier: Apache-2.0
// The processes of a container as `ps` shows them, in JSON.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "agent/user.h"

namespace kata::agent {

// A JSON array of {"pid", "ppid", "uid", "c", "stime", "tty", "time", "cmd"}: ps -ef's columns, with the numbers that
// the guest uses; stime is HH:MM in UTC. And for whoever wants other columns: "stat" (what /proc/PID/stat has behind
// the name), "comm", "gid", "ruid", "rgid", the names of the four ids as "user", "group", "ruser" and "rgroup" (empty:
// the container has none), "now" (seconds since 1970), "up" (since the guest's start) and "memory" (bytes that the
// guest has). Processes that have ended meanwhile are left out. At most 4096 of them, with 4096 bytes of command each
// and 2 MiB in all.
std::string ListProcesses(const std::vector<pid_t>& pids, const UserNames& names);

}  // namespace kata::agent
