// SPDX-License-Identifier: Apache-2.0
// The signals that end a command line program, as a descriptor to wait for: a verb in the midst of its work cleans up.
#pragma once

#include <signal.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

// Blocks the signals for the rest of the process's life. Children started by Spawn do not inherit that.
class Interrupts {
 public:
  // INT, TERM, HUP and QUIT.
  static Result<Interrupts> Ending();
  // Those and all others that a person or an engine may send to a foreground process, WINCH too; not the ones of
  // faults, job control and children.
  static Result<Interrupts> Forwarded();

  // Readable when a signal waits.
  int fd() const { return fd_.get(); }
  // The next signal that waits, or 0.
  int Next() const;
  // What Next has returned last.
  int taken() const { return taken_; }

 private:
  static Result<Interrupts> Block(const sigset_t& signals);
  UniqueFd fd_;
  mutable int taken_ = 0;
};

}  // namespace kata
