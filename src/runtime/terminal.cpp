// SPDX-License-Identifier: Apache-2.0
#include "runtime/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <climits>
#include <cstring>

#include "base/files.h"
#include "rpc/unix_socket.h"

namespace kata::runtime {
namespace {

// Global, because the signal handler needs them.
volatile sig_atomic_t saved_terminal = -1;
termios saved_modes;

// Faults cannot be blocked and read like other signals, but the terminal must not stay raw after them.
constexpr std::array kFaults = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

void RestoreAndDie(int signal) {
  if (saved_terminal >= 0) tcsetattr(saved_terminal, TCSANOW, &saved_modes);
  // SA_RESETHAND has restored the default action, which ends the process.
  raise(signal);
}

}  // namespace

Result<Pty> OpenPty(uint32_t rows, uint32_t columns) {
  Pty pty;
  pty.master = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.master) return FailErrno("cannot open a pseudo terminal");
  if (grantpt(pty.master.get()) != 0 || unlockpt(pty.master.get()) != 0) {
    return FailErrno("cannot unlock the pseudo terminal");
  }
  std::array<char, 64> name{};
  if (const int sys = ptsname_r(pty.master.get(), name.data(), name.size()); sys != 0) {
    return FailWith(sys, "cannot name the pseudo terminal");
  }
  pty.name = name.data();
  pty.slave = TRY(Open(pty.name, O_RDWR | O_NOCTTY));
  termios modes{};
  if (tcgetattr(pty.slave.get(), &modes) != 0) return FailErrno("cannot read the modes of {}", pty.name);
  cfmakeraw(&modes);
  if (tcsetattr(pty.slave.get(), TCSANOW, &modes) != 0) return FailErrno("cannot make {} raw", pty.name);
  if (rows > 0 && columns > 0) {
    winsize size{};
    size.ws_row = static_cast<uint16_t>(rows);
    size.ws_col = static_cast<uint16_t>(columns);
    if (ioctl(pty.master.get(), TIOCSWINSZ, &size) != 0) return FailErrno("cannot set the size of {}", pty.name);
  }
  return pty;
}

Result<> SendToConsoleSocket(const std::string& socket_path, const Pty& pty) {
  // Through a descriptor of the directory, since the path may be longer than sun_path.
  const size_t slash = socket_path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : socket_path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? socket_path : socket_path.substr(slash + 1);
  const UniqueFd directory = TRY(Context(Open(dir, O_PATH | O_DIRECTORY), "console socket {}", socket_path));
  const UniqueFd socket = TRY(Context(rpc::ConnectUnix(directory.get(), name), "console socket {}", socket_path));

  iovec data{.iov_base = const_cast<char*>(pty.name.data()), .iov_len = pty.name.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int master = pty.master.get();
  memcpy(CMSG_DATA(header), &master, sizeof master);
  if (sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) {
    return FailErrno("cannot send the terminal to the console socket {}", socket_path);
  }
  return {};
}

Result<OwnTerminal> FindOwnTerminal() {
  for (const int fd : {STDERR_FILENO, STDOUT_FILENO, STDIN_FILENO}) {
    if (isatty(fd) == 1) return OwnTerminal{.fd = fd, .opened = {}};
  }
  UniqueFd opened(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!opened) return FailErrno("open /dev/tty");
  const int fd = opened.get();
  return OwnTerminal{.fd = fd, .opened = std::move(opened)};
}

std::optional<winsize> WindowSize(int terminal) {
  winsize size{};
  if (ioctl(terminal, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return std::nullopt;
  return size;
}

Result<RawTerminal> RawTerminal::Enter(int terminal) {
  if (tcgetattr(terminal, &saved_modes) != 0) return FailErrno("cannot read the modes of the terminal");
  termios raw = saved_modes;
  cfmakeraw(&raw);
  saved_terminal = terminal;
  struct sigaction action {};
  action.sa_handler = RestoreAndDie;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int signal : kFaults) sigaction(signal, &action, nullptr);
  if (tcsetattr(terminal, TCSANOW, &raw) != 0) return FailErrno("cannot make the terminal raw");
  return RawTerminal(terminal);
}

RawTerminal::~RawTerminal() {
  if (terminal_ < 0) return;
  tcsetattr(terminal_, TCSANOW, &saved_modes);
  saved_terminal = -1;
}

}  // namespace kata::runtime
