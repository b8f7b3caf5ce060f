// SPDX-License-Identifier: Apache-2.0
// Signals as a descriptor to wait for (signalfd(2)), so that an interrupted command cleans up before it ends.
#pragma once

#include <signal.h>

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

// The signals by which a manager may end all processes of a cgroup, such as systemd for `systemctl stop` (KillSignal in
// systemd.kill(5)): those that end a process that does not handle them, other than faults.
std::vector<int> StoppingSignals();

// Signals that are blocked and can be read. They stay blocked for the rest of the process's life, even after this
// object is destroyed. Children started by Spawn do not inherit the mask.
class Interrupts {
 public:
  // INT, TERM, HUP and QUIT.
  static Result<Interrupts> Ending();
  // All signals that a foreground process passes on, WINCH included. Left out: faults, ABRT, CHLD, PIPE, URG, and those
  // of job control (TSTP, TTIN, TTOU, CONT).
  static Result<Interrupts> Forwarded();

  // Readable while a signal is pending.
  int fd() const { return fd_.get(); }
  // Takes the next pending signal; 0 when there is none. Does not block.
  int Next() const;
  // The last result of Next.
  int taken() const { return taken_; }

 private:
  static Result<Interrupts> Block(const sigset_t& signals);
  UniqueFd fd_;
  mutable int taken_ = 0;
};

}  // namespace kata
