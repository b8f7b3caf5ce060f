// SPDX-License-Identifier: Apache-2.0
#include "agent/container/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <cstring>

#include "agent/container/init.h"
#include "base/child.h"
#include "base/files.h"
#include "base/log.h"

namespace kata::agent {

namespace {

// An exec has no need of stage 1: the agent itself goes into the container's pid namespace for the moment of the clone.
// That is the one for its children only, and it has one thread, so nobody else is moved.
Result<UniqueFd> ForkInside(std::vector<int> numbers, Plan& plan, const std::array<int, kRoles>& fds, pid_t* pid) {
  const UniqueFd home = TRY(Open("/proc/self/ns/pid", O_RDONLY));
  if (setns(fds[kPidNamespace], CLONE_NEWPID) != 0) return FailErrno("cannot join the container's pid namespace");
  auto child = Fork({.fds = std::move(numbers), .cgroup = fds[kCgroup], .die_with_parent = false},
                    [&plan] { RunStages(std::move(plan)); });
  if (setns(home.get(), CLONE_NEWPID) != 0) {
    // All that is started from now on would be the container's.
    log::Error("cannot leave a container's pid namespace: {}", strerror(errno));
    std::abort();
  }
  if (!child) return tl::unexpected<Error>(std::move(child).error());
  UniqueFd pidfd(fcntl(child->pidfd(), F_DUPFD_CLOEXEC, 0));
  if (!pidfd) return FailErrno("cannot duplicate a descriptor");
  *pid = child->Disown();
  return pidfd;
}

}  // namespace

struct Launch::Socket {
  explicit Socket(const asio::any_io_executor& executor) : descriptor(executor) {}
  asio::posix::stream_descriptor descriptor;
};

Launch::Launch(asio::any_io_executor executor) : socket_(std::make_unique<Socket>(executor)) {}

Launch::~Launch() {
  // Stage 2 ends by itself when its socket closes; this is for one that hangs in a system call.
  const bool released = !socket_->descriptor.is_open();
  if (!released && process_.pidfd) syscall(SYS_pidfd_send_signal, process_.pidfd.get(), SIGKILL, nullptr, 0);
}

asio::awaitable<Result<Packet>> Launch::Receive() {
  while (true) {
    auto packet = ReceivePacket(socket_->descriptor.native_handle(), MSG_DONTWAIT);
    if (packet || packet.error().sys() != EAGAIN) co_return packet;
    auto [error] = co_await socket_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                                           asio::as_tuple(asio::use_awaitable));
    if (error) co_return FailWith(error.value(), "cannot wait for the container's init");
  }
}

asio::awaitable<Result<>> Launch::AwaitReady() {
  while (true) {
    CO_TRY_ASSIGN(Packet packet, co_await Receive());
    if (packet.end) co_return Fail(Code::kInternal, "the container's init ended before it was ready");
    switch (packet.what) {
      case Say::kStarted: {
        int32_t pid = -1;
        if (packet.text.size() != sizeof pid) co_return Fail(Code::kInternal, "the container's init has no pid");
        std::memcpy(&pid, packet.text.data(), sizeof pid);
        process_.pid = pid;
        process_.pidfd = std::move(packet.fd);
        break;
      }
      case Say::kTerminal:
        process_.terminal = std::move(packet.fd);
        break;
      case Say::kReady:
        if (!process_.pidfd) co_return Fail(Code::kInternal, "the container's init has no pid");
        co_return Result<>();
      default:
        co_return tl::unexpected<Error>(UnpackError(packet.text));
    }
  }
}

asio::awaitable<Result<std::unique_ptr<Launch>>> Launch::Start(asio::any_io_executor executor, Plan plan,
                                                               std::array<int, kRoles> fds) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    co_return FailErrno("cannot make a socket pair");
  }
  std::unique_ptr<Launch> launch(new Launch(executor));
  launch->socket_->descriptor.assign(ends[0]);
  UniqueFd theirs(ends[1]);

  std::vector<int> numbers = {-1, -1, -1, theirs.get()};
  for (size_t role = 0; role < kRoles; ++role) {
    plan.fds[role] = fds[role] < 0 ? -1 : static_cast<int>(numbers.size());
    if (fds[role] >= 0) numbers.push_back(fds[role]);
  }
  if (plan.exec) {
    CO_TRY_ASSIGN(launch->process_.pidfd, ForkInside(std::move(numbers), plan, fds, &launch->process_.pid));
  } else {
    CO_TRY_ASSIGN(Child stage1, Fork({.fds = std::move(numbers)}, [&plan] { RunStages(std::move(plan)); }));
    // The reaper collects it, as it does every child.
    stage1.Disown();
  }
  theirs.Reset();
  CO_TRY(co_await launch->AwaitReady());
  co_return launch;
}

asio::awaitable<Result<>> Launch::Go() {
  CO_TRY(SendPacket(socket_->descriptor.native_handle(), Say::kGo));
  CO_TRY_ASSIGN(const Packet packet, co_await Receive());
  if (!packet.end) co_return tl::unexpected<Error>(UnpackError(packet.text));
  boost::system::error_code ignored;
  socket_->descriptor.close(ignored);
  co_return Result<>();
}

}  // namespace kata::agent
