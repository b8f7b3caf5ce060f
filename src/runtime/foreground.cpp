// SPDX-License-Identifier: Apache-2.0
#include "runtime/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <optional>

#include "base/log.h"
#include "protocol/shim.pb.h"
#include "runtime/terminal.h"

namespace kata::runtime {
namespace {

constexpr std::chrono::milliseconds kResizeTime{2000};

}  // namespace

Result<OutputsEnd> MakeOutputsEnd() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  return OutputsEnd{.here = UniqueFd(ends[0]), .there = UniqueFd(ends[1])};
}

Result<> SyncWindowSize(Task& task, const Foreground& foreground) {
  const auto size = WindowSize(foreground.terminal);
  if (!size) return {};
  containerd::task::v2::ResizePtyRequest request;
  request.set_id(foreground.container);
  request.set_exec_id(foreground.exec_id);
  request.set_width(size->ws_col);
  request.set_height(size->ws_row);
  TRY(Context(task.Call<wkt::Empty>("ResizePty", request, kResizeTime), "cannot set the terminal's size"));
  return {};
}

Result<int> AwaitEnd(Child& standin, Task& task, const Foreground& foreground, const Interrupts& signals) {
  std::optional<int> status;
  for (;;) {
    // First waits for the stand-in, then for the end of the outputs.
    pollfd waits[] = {{.fd = status ? foreground.outputs : standin.pidfd(), .events = POLLIN, .revents = 0},
                      {.fd = signals.fd(), .events = POLLIN, .revents = 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return FailErrno("cannot wait for the process");
    if (waits[0].revents != 0) {
      if (status) return *status;
      status = TRY(standin.Wait()).Shell();
      if (foreground.outputs < 0) return *status;
    }
    const int signal = waits[1].revents != 0 ? signals.Next() : 0;
    // The process has ended: discard the signal.
    if (status) continue;
    if (signal == SIGWINCH) {
      // A failure does not end the wait: the process may just have ended, or the guest may be slow.
      if (foreground.terminal < 0) continue;
      if (auto resized = SyncWindowSize(task, foreground); !resized) log::Debug("{}", resized.error().message());
    } else if (signal != 0) {
      if (auto sent = standin.Signal(signal); !sent) log::Debug("{}", sent.error().message());
    }
  }
}

}  // namespace kata::runtime
