// SPDX-License-Identifier: Apache-2.0
// Terminals on the host: the pair for an engine's console socket, and the caller's own while it is in the foreground.
#pragma once

#include <sys/ioctl.h>
#include <termios.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::runtime {

// A pseudo terminal in raw mode: what lines and control characters mean is decided by the terminal in the guest.
struct Pty {
  UniqueFd master;
  UniqueFd slave;
  std::string name;  // the slave's, "/dev/pts/N"
};
Result<Pty> OpenPty(uint32_t rows, uint32_t columns);

// Sends the master over the unix stream socket at this path, with the terminal's name as the data, as runc does
// (its docs/terminals.md, "Detached New Terminal").
Result<> SendToConsoleSocket(const std::string& socket_path, const Pty& pty);

// The caller's terminal: that of standard error, output or input, otherwise the controlling one.
struct OwnTerminal {
  int fd = -1;
  UniqueFd opened;  // where it is none of the three
};
// An error in runc's words when there is none.
Result<OwnTerminal> FindOwnTerminal();

std::optional<winsize> WindowSize(int terminal);

// The caller's terminal in raw mode for as long as this lives. It is put back whatever ends the process, but SIGKILL.
class RawTerminal {
 public:
  static Result<RawTerminal> Enter(int terminal);
  RawTerminal(RawTerminal&& other) noexcept : terminal_(std::exchange(other.terminal_, -1)) {}
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal();

 private:
  explicit RawTerminal(int terminal) : terminal_(terminal) {}
  int terminal_ = -1;
};

}  // namespace kata::runtime
