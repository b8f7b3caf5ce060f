// SPDX-License-Identifier: Apache-2.0
#include "sandbox/task/port_forward.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/accept.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "sandbox/stdio/stdio.h"

namespace kata::sandbox {
namespace {

// Connections at a time. Each is a process in the guest.
constexpr size_t kMostConnections = 128;
// How long a client may take to read the rest after the server has closed its side.
constexpr std::chrono::milliseconds kSlowClient = std::chrono::minutes(10);

Result<UniqueFd> Duplicate(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return FailErrno("cannot duplicate a connection");
  return copy;
}

uint16_t LocalPort(int connection) {
  sockaddr_in6 local{};
  socklen_t size = sizeof local;
  if (getsockname(connection, reinterpret_cast<sockaddr*>(&local), &size) != 0) return 0;
  return ntohs(local.sin6_port);
}

// Chooses a container for the process that forwards: the agent assigns every process to one. The pod's own container,
// if there is one, lives longest.
Result<std::string> SomeContainer(const Sandbox& sandbox) {
  const auto& containers = sandbox.containers();
  std::string found;
  for (const auto& [id, container] : containers) {
    if (container->init && (found.empty() || id == sandbox.state().id)) found = id;
  }
  if (found.empty()) return Fail(Code::kFailedPrecondition, "the pod has no container");
  return found;
}

// Makes closing the connection a reset. An orderly end would tell the client that a server had sent all its data.
void ResetAtClose(int connection) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

struct PortForward::Shared {
  explicit Shared(std::shared_ptr<Sandbox> its_sandbox)
      : sandbox(std::move(its_sandbox)), listener(sandbox->executor()) {}

  std::shared_ptr<Sandbox> sandbox;
  asio::posix::stream_descriptor listener;
  UniqueFd link;
  size_t connections = 0;
  uint64_t next = 0;
};

Result<std::unique_ptr<PortForward>> PortForward::Start(std::shared_ptr<Sandbox> sandbox,
                                                        const network::Namespace& pod) {
  network::LoopbackCatch caught = TRY(network::CatchLoopback(pod));
  auto shared = std::make_shared<Shared>(std::move(sandbox));
  shared->listener.assign(caught.listener.Release());
  shared->link = std::move(caught.link);
  asio::co_spawn(shared->sandbox->executor(), Accept(shared), asio::detached);
  return std::unique_ptr<PortForward>(new PortForward(std::move(shared)));
}

PortForward::~PortForward() {
  boost::system::error_code ignored;
  shared_->listener.close(ignored);
  shared_->link.Reset();
}

asio::awaitable<void> PortForward::Accept(std::shared_ptr<Shared> shared) {
  while (UniqueFd connection = co_await AcceptNext(shared->listener, SOCK_CLOEXEC)) {
    const uint16_t port = LocalPort(connection.get());
    if (port == 0) continue;  // the connection has gone already
    if (shared->connections == kMostConnections) {
      log::Warn("port {} is not forwarded: {} connections at a time are the most", port, kMostConnections);
      ResetAtClose(connection.get());
      continue;
    }
    ++shared->connections;
    asio::co_spawn(shared->sandbox->executor(), Carry(shared, std::move(connection), port), asio::detached);
  }
}

asio::awaitable<void> PortForward::Carry(std::shared_ptr<Shared> shared, UniqueFd connection, uint16_t port) {
  auto carried = co_await CarryAll(shared, connection.get(), port);
  if (!carried) {
    log::Info("port {} is not forwarded: {}", port, carried.error().message());
    ResetAtClose(connection.get());
  }
  --shared->connections;
}

asio::awaitable<Result<>> PortForward::CarryAll(std::shared_ptr<Shared> shared, int connection, uint16_t port) {
  CO_TRY_ASSIGN(std::string container, SomeContainer(*shared->sandbox));
  auto agent = shared->sandbox->vm().agent();
  AgentProcess process{.container = std::move(container), .exec = fmt::format("port-{}-{}", port, shared->next++)};
  StdioFds fds;
  CO_TRY_ASSIGN(fds[0], Duplicate(connection));
  CO_TRY_ASSIGN(fds[1], Duplicate(connection));
  CO_TRY_ASSIGN(auto stdio, Stdio::Create(shared->sandbox->executor(), std::move(fds), /*terminal=*/false));
  CO_TRY(co_await agent->ForwardPort(process, port));
  stdio->Start(agent, process);
  auto status = co_await agent->WaitProcess(process);
  if (status) co_await stdio->Drain(kSlowClient);
  stdio->Stop();
  CO_TRY(status);
  if (*status != 0) co_return Fail(Code::kUnavailable, "nobody listens at it in the guest");
  co_return Result<>();
}

}  // namespace kata::sandbox
