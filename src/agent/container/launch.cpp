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
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>

#include "agent/container/init.h"
#include "base/child.h"
#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"
#include "base/user_namespace.h"

namespace kata::agent {

namespace {

// Forks into an existing pid namespace. Only the parent can choose it: the agent sets it for its children with setns(2)
// and resets it after the fork. The agent has one thread, so nothing else is forked in between.
Result<Child> ForkInside(int pid_namespace, ForkOptions options, const std::function<void()>& body) {
  if (pid_namespace < 0) return Fork(std::move(options), body);
  const UniqueFd home = TRY(Open("/proc/self/ns/pid", O_RDONLY));
  if (setns(pid_namespace, CLONE_NEWPID) != 0) return FailErrno("linux.namespaces: cannot join the pid namespace");
  auto child = Fork(std::move(options), body);
  if (setns(home.get(), CLONE_NEWPID) != 0) {
    // All later children of the agent would be in the container's pid namespace.
    log::Error("cannot leave a container's pid namespace: {}", ErrnoText(errno));
    std::abort();
  }
  // ENOMEM means that the init of the pid namespace has exited (pid_namespaces(7)).
  return Context(std::move(child), "linux.namespaces: inside the pid namespace");
}

}  // namespace

struct Launch::Socket {
  explicit Socket(const asio::any_io_executor& executor) : descriptor(executor) {}
  asio::posix::stream_descriptor descriptor;
  bool late = false;
};

Launch::Launch(asio::any_io_executor executor) : socket_(std::make_shared<Socket>(executor)) {}

Launch::~Launch() {
  // The stages exit by themselves when the socket is closed. The signal is for a stage that hangs in a system call.
  if (!socket_->descriptor.is_open()) return;
  for (const UniqueFd* stage : {&stage1_, &process_.pidfd}) {
    if (stage->valid()) syscall(SYS_pidfd_send_signal, stage->get(), SIGKILL, nullptr, 0);
  }
}

asio::awaitable<Result<Packet>> Launch::Receive() {
  while (true) {
    auto packet = ReceivePacket(socket_->descriptor.native_handle(), MSG_DONTWAIT);
    if (packet || packet.error().sys() != EAGAIN) co_return packet;
    if (socket_->late) co_return Fail(Code::kDeadlineExceeded, "the container's init does not become ready");
    auto [error] = co_await socket_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    if (error && !socket_->late) co_return FailWith(error.value(), "cannot wait for the container's init");
  }
}

asio::awaitable<Result<>> Launch::AwaitReady() {
  while (true) {
    CO_TRY_ASSIGN(Packet packet, co_await Receive());
    if (packet.end) co_return Fail(Code::kAborted, "the container's init ended before it was ready");
    switch (packet.what) {
      case Say::kStarted: {
        // Stage 1 may be in a pid namespace in which stage 2 has another number.
        CO_TRY_ASSIGN(process_.pid, PidInProc(packet.fd.get()));
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
                                                               std::array<int, kRoles> fds,
                                                               std::chrono::seconds limit) {
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
  ForkOptions options{.fds = std::move(numbers)};
  // With a user namespace, the forked process is stage 1, which clones the container process.
  const bool staged = !plan.exec && HasNamespace(plan.spec, "user");
  if (!staged) {
    options.cgroup = fds[kCgroup];
    if (!plan.exec) options.flags = NewNamespaces(plan);
  }
  {
    auto body = [&plan] { RunStages(std::move(plan)); };
    CO_TRY_ASSIGN(Child child, ForkInside(fds[kPidNamespace], std::move(options), body));
    UniqueFd& pidfd = staged ? launch->stage1_ : launch->process_.pidfd;
    pidfd.Reset(fcntl(child.pidfd(), F_DUPFD_CLOEXEC, 0));
    if (!pidfd) co_return FailErrno("cannot duplicate a descriptor");
    if (!staged) launch->process_.pid = child.pid();
    // The Reaper reaps it, as it does every child.
    child.Disown();
  }
  theirs.Reset();
  asio::steady_timer timer(executor, limit);
  timer.async_wait([socket = launch->socket_](boost::system::error_code error) {
    if (error) return;
    socket->late = true;
    socket->descriptor.cancel(error);
  });
  auto ready = co_await launch->AwaitReady();
  timer.cancel();
  // The timer may have fired at the same time as the last packet arrived; Go must not see that.
  launch->socket_->late = false;
  CO_TRY(std::move(ready));
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
