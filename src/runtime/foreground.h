// SPDX-License-Identifier: Apache-2.0
// Waiting in the foreground for a process in the guest, as if it were a child of the caller.
#pragma once

#include <string>

#include "base/child.h"
#include "base/interrupts.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/task.h"

namespace kata::runtime {

// The process that is waited for. The caller owns the descriptors.
struct Foreground {
  std::string container;
  std::string exec_id;  // empty: the container's first process
  int terminal = -1;    // the caller's terminal, whose size is passed on; -1: the process has no terminal
  int outputs = -1;     // OutputsEnd::here; -1: do not wait for the end of the outputs
};

// A pipe that shows when the outputs of a process have ended: the sandbox process holds the write end until then. That
// may be after the end of the process, if other processes in the container have the outputs open.
struct OutputsEnd {
  UniqueFd here;   // the read end; end of file when the outputs have ended
  UniqueFd there;  // the write end, for the sandbox process
};
Result<OutputsEnd> MakeOutputsEnd();

// Sets the size of the process's terminal to that of the caller's terminal.
Result<> SyncWindowSize(Task& task, const Foreground& foreground);

// Forwards signals until the stand-in ends, then waits for the end of the outputs, as runc does. Returns the stand-in's
// exit status (ExitStatus::Shell). Blocks.
Result<int> AwaitEnd(Child& standin, Task& task, const Foreground& foreground, const Interrupts& signals);

}  // namespace kata::runtime
