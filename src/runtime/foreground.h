// SPDX-License-Identifier: Apache-2.0
// Waiting in the foreground for a process in the guest, as if it were the caller's own.
#pragma once

#include <string>

#include "base/child.h"
#include "base/interrupts.h"
#include "base/result.h"
#include "runtime/task.h"

namespace kata::runtime {

struct Foreground {
  std::string container;
  std::string exec_id;
  int terminal = -1;  // the caller's, whose size the process's terminal follows; -1: it has none
};

// Gives the process's terminal the size of the caller's.
Result<> SyncWindowSize(Task& task, const Foreground& foreground);

// Passes signals on until the stand-in ends, and returns its exit status, as the shell counts.
Result<int> AwaitEnd(Child& standin, Task& task, const Foreground& foreground, const Interrupts& signals);

}  // namespace kata::runtime
