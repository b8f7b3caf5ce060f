// SPDX-License-Identifier: Apache-2.0
// Frozen cgroups of the host: a process in one does not run, and with cgroup v1 not even SIGKILL ends it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "sandbox/record/state.h"

namespace kata::sandbox {

// The nearest frozen cgroup at or above a directory, which need not exist. Empty: none.
std::string FrozenAt(const std::string& directory);
// FrozenAt for the cgroups of a process.
std::string FrozenAround(pid_t pid);

// Thaws these cgroups. One below a frozen parent stays frozen until that is thawed by whoever froze it. Errors are
// logged.
void Thaw(const std::vector<std::string>& cgroups);

// Lets all processes of a sandbox run, stand-ins of execs too, so that they can end. Thaws the cgroups that were made
// for the sandbox, and moves processes that are still in a frozen cgroup into this process's own. Errors are logged.
void Unfreeze(const State& state);

}  // namespace kata::sandbox
