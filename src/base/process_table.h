// SPDX-License-Identifier: Apache-2.0
// The host's processes, as proc(5) shows them, and one of them as a value that no other can be taken for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace kata {

// A process that can be told from a later one with the same pid, by its start time in /proc/PID/stat.
struct ProcessRef {
  pid_t pid = 0;
  uint64_t start_time = 0;  // field 22, clock ticks since boot

  bool operator==(const ProcessRef&) const = default;
};

// The process that has this pid now; kNotFound when there is none, or only a zombie.
Result<ProcessRef> IdentifyProcess(pid_t pid);
// Whether that very process still runs. A zombie does not: nobody may ever reap it.
bool IsAlive(const ProcessRef& process);
// The same, but a zombie counts: some of its threads may not have ended.
bool IsThere(const ProcessRef& process);

// Whether SIGSTOP or a debugger holds it.
bool IsHeld(pid_t pid);

// Ends exactly this process and waits until it has gone; it has that long to go by itself. Returns whether it has gone;
// one that has not is logged.
bool EndProcess(const ProcessRef& process, std::chrono::milliseconds patience);

// Sends a signal to exactly this process. Returns whether it was there to get it.
bool SignalProcess(const ProcessRef& process, int signal);

// The words of its command line, proc(5); none when it has ended.
std::vector<std::string> ArgumentsOf(pid_t pid);

// The children of a process's first thread; none when it has ended.
std::vector<pid_t> ChildrenOf(pid_t pid);

}  // namespace kata
