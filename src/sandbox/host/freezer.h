// SPDX-License-Identifier: Apache-2.0
// Cgroups of the host that are frozen: a process in one stands still, and with version 1 not even SIGKILL ends it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "sandbox/record/state.h"

namespace kata::sandbox {

// The nearest cgroup at or above a directory, which need not exist, that somebody has frozen; empty: none is.
std::string FrozenAt(const std::string& directory);
// The same for the cgroups that a process is in.
std::string FrozenAround(pid_t pid);

// Thaws cgroups. One whose parent is frozen stays so: that is for whoever froze the parent.
void Thaw(const std::vector<std::string>& cgroups);

// Lets all processes of a sandbox run, stand-ins of execs too, so that they can end: thaws the cgroups that were made
// for it, and moves those that still stand in a frozen one into this process's own.
void Unfreeze(const State& state);

}  // namespace kata::sandbox
