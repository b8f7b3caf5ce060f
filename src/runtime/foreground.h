// SPDX-License-Identifier: Apache-2.0
// Waiting in the foreground for a process in the guest, as if it were the caller's own.
#pragma once

#include <string>

#include "base/child.h"
#include "base/interrupts.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/task.h"

namespace kata::runtime {

struct Foreground {
  std::string container;
  std::string exec_id;
  int terminal = -1;  // the caller's, whose size the process's terminal follows; -1: it has none
  int outputs = -1;   // of an OutputsEnd; -1: nobody waits for it
};

// A pipe that says when the outputs of a process have ended: when the end that goes to the sandbox process has been
// closed. Others in the container may have them open for longer than the process lives.
struct OutputsEnd {
  UniqueFd here;
  UniqueFd there;
};
Result<OutputsEnd> MakeOutputsEnd();

// Gives the process's terminal the size of the caller's.
Result<> SyncWindowSize(Task& task, const Foreground& foreground);

// Passes signals on until the stand-in ends, waits for the end of the outputs, as runc does, and returns the stand-in's
// exit status, as the shell counts.
Result<int> AwaitEnd(Child& standin, Task& task, const Foreground& foreground, const Interrupts& signals);

}  // namespace kata::runtime
