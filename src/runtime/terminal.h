// SPDX-License-Identifier: Apache-2.0
// Terminals on the host: the pseudo terminal for an engine's console socket, and the caller's own terminal.
#pragma once

#include <sys/ioctl.h>
#include <termios.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::runtime {

// A pseudo terminal in raw mode, since the terminal in the guest processes lines and control characters.
struct Pty {
  UniqueFd master;
  UniqueFd slave;
  std::string name;  // the slave's path, "/dev/pts/N"
};
// rows or columns of 0: the size stays unset.
Result<Pty> OpenPty(uint32_t rows, uint32_t columns);

// Connects to the unix stream socket at this path and sends the master, with the terminal's name as data, as runc does
// (docs/terminals.md of runc, "Detached New Terminal").
Result<> SendToConsoleSocket(const std::string& socket_path, const Pty& pty);

// The caller's terminal: standard error, output or input, otherwise the controlling terminal.
struct OwnTerminal {
  int fd = -1;
  UniqueFd opened;  // owns fd if it is the controlling terminal; else invalid
};
// Fails with a message in runc's words if the caller has no terminal.
Result<OwnTerminal> FindOwnTerminal();

// nullopt: not a terminal, or its size is unknown.
std::optional<winsize> WindowSize(int terminal);

// Keeps the caller's terminal in raw mode. The destructor restores the modes, and so do handlers for faults (SIGSEGV
// and others); signals that end the process must be blocked meanwhile. At most one object at a time.
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
