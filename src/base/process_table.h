// SPDX-License-Identifier: Apache-2.0
// The processes of this pid namespace as proc(5) shows them, and ProcessRef, which identifies one of them for good.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace kata {

// Identifies a process by pid and start time, so that a later process with the same pid is not mistaken for it.
struct ProcessRef {
  pid_t pid = 0;
  uint64_t start_time = 0;  // field 22 of /proc/PID/stat, as outside of time namespaces: clock ticks since boot

  bool operator==(const ProcessRef&) const = default;
};

// The process that has this pid. kNotFound: no process has it, or only a zombie.
Result<ProcessRef> IdentifyProcess(pid_t pid);
// Whether exactly this process still runs. A zombie does not count: its parent may never reap it.
bool IsAlive(const ProcessRef& process);
// As IsAlive, but a zombie counts: some of its threads may still run.
bool IsThere(const ProcessRef& process);

// Whether the process is stopped, by a signal or a debugger (states T and t of proc(5)).
bool IsHeld(pid_t pid);

// Waits up to time for the end of exactly this process, then sends SIGKILL and waits up to 10 seconds more. Blocks.
// Returns whether the process has ended; logs a warning if it has not. The process need not be a child.
bool EndProcess(const ProcessRef& process, std::chrono::milliseconds time);

// Sends a signal to exactly this process. Returns whether it was alive and the signal was sent.
bool SendSignal(const ProcessRef& process, int signal);

// The words of the process's command line (/proc/PID/cmdline); empty if it has ended.
std::vector<std::string> ArgumentsOf(pid_t pid);

// The children that the process's main thread has started; empty if it has ended.
std::vector<pid_t> ChildrenOf(pid_t pid);

}  // namespace kata
