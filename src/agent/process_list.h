// SPDX-License-Identifier: Apache-2.0
// The processes of a container as `ps` shows them, in JSON.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kata::agent {

// A JSON array of {"pid", "ppid", "uid", "c", "stime", "tty", "time", "cmd"}: ps -ef's columns, with the numbers that
// the guest uses; stime is HH:MM in UTC. Processes that have ended meanwhile are left out. At most 4096 of them, with
// 4096 bytes of command each and 1 MiB in all.
std::string ListProcesses(const std::vector<pid_t>& pids);

}  // namespace kata::agent
