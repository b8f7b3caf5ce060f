// SPDX-License-Identifier: Apache-2.0
#include "agent/forward.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "base/child.h"

namespace kata::agent {

namespace {

// Time without data, in milliseconds, after which a connection ends whose client has ended its input. A client that has
// gone looks the same as one that has only finished sending.
constexpr int kQuietTime = 60000;

// Tries IPv4 first, as clients of "localhost" do. -1: nothing listens on the port.
int Connect(uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&v4), sizeof v4) == 0) return fd;
  close(fd);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = in6addr_loopback;
  fd = socket(AF_INET6, SOCK_STREAM, 0);
  if (fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&v6), sizeof v6) == 0) return fd;
  return -1;
}

// One direction of the connection, with its buffered data.
struct Way {
  int from;
  int to;
  std::array<char, 16384> buffer{};
  size_t begin = 0;
  size_t end = 0;
  bool ended = false;

  bool empty() const { return begin == end; }
  // Moves as much data as is possible without blocking; false when the receiving end is closed.
  bool Move() {
    if (empty() && !ended) {
      const ssize_t count = read(from, buffer.data(), buffer.size());
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
      ended = count <= 0;
      begin = 0;
      end = ended ? 0 : static_cast<size_t>(count);
    }
    if (empty()) return true;
    const ssize_t count = write(to, buffer.data() + begin, end - begin);
    if (count > 0) begin += static_cast<size_t>(count);
    return count >= 0 || errno == EAGAIN || errno == EINTR;
  }
};

[[noreturn]] void Relay(uint16_t port) {
  prctl(PR_SET_NAME, "forward");
  const int server = Connect(port);
  if (server < 0) _exit(1);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, server}) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  Way there{.from = STDIN_FILENO, .to = server};
  Way back{.from = server, .to = STDOUT_FILENO};
  bool told = false;
  while (!back.ended || !back.empty()) {
    std::array<pollfd, 2> waits{};
    size_t i = 0;
    for (const Way* way : {&there, &back}) {
      if (!way->empty()) {
        waits[i++] = {.fd = way->to, .events = POLLOUT, .revents = 0};
      } else {
        waits[i++] = {.fd = way->ended ? -1 : way->from, .events = POLLIN, .revents = 0};
      }
    }
    if (poll(waits.data(), waits.size(), told ? kQuietTime : -1) == 0) break;
    if (!there.Move()) {
      there.begin = there.end;
      there.ended = true;
    }
    if (!back.Move()) break;
    if (there.ended && there.empty() && !told) {
      shutdown(server, SHUT_WR);
      told = true;
    }
  }
  _exit(0);
}

}  // namespace

Result<StartedProcess> StartRelay(ForkOptions options, const std::function<void()>& work) {
  Child child = TRY(Fork(std::move(options), work));
  StartedProcess started;
  started.pid = child.pid();
  started.pidfd.Reset(fcntl(child.pidfd(), F_DUPFD_CLOEXEC, 0));
  if (!started.pidfd) return FailErrno("cannot duplicate a descriptor");
  // The Reaper reaps it, as it does every child.
  child.Disown();
  return started;
}

Result<StartedProcess> StartForward(uint16_t port, ProcessIo io) {
  return StartRelay({.fds = {io.stdin_read.get(), io.stdout_write.get(), -1}}, [port] { Relay(port); });
}

}  // namespace kata::agent
