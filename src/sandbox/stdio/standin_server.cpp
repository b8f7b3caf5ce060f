// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/standin_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <optional>

#include "base/accept.h"
#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"
#include "rpc/unix_socket.h"

namespace kata::sandbox {
namespace {

constexpr auto kWaitRead = asio::posix::stream_descriptor::wait_read;

// How long a connection may stay without a hello or a claim, and how many such connections there may be.
constexpr std::chrono::seconds kUnclaimed{30};
constexpr size_t kMaxUnclaimed = 256;

bool IsAllowed(int connection) {
  const auto peer = rpc::PeerOf(connection);
  return peer && (peer->uid == 0 || peer->uid == geteuid());
}

// A packet and the descriptors that came with it. An empty packet is the end of the connection.
struct Received {
  std::string text;
  std::vector<UniqueFd> fds;
};

// Receives without blocking. nullopt: no packet yet.
std::optional<Received> ReceiveNow(int connection) {
  Received received;
  received.text.resize(kMaxPacket);
  iovec data{.iov_base = received.text.data(), .iov_len = received.text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))];
  msghdr message{.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  ssize_t got = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  received.text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  if (got < 0) return received;
  // All descriptors are owned first, so that none leaks if the packet is malformed.
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      received.fds.emplace_back(fd);
    }
  }
  // A packet that is cut off is not from a stand-in. '?' makes it malformed.
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) received.text.assign(1, '?');
  return received;
}

}  // namespace

Standin::Standin(const asio::any_io_executor& executor, UniqueFd connection, HelloPacket hello, StdioFds stdio,
                 UniqueFd until_end)
    : executor_(executor),
      connection_(executor, connection.Release()),
      hello_(std::move(hello)),
      stdio_(std::move(stdio)),
      until_end_(std::move(until_end)) {}

void Standin::Attach(Handlers handlers) {
  handlers_ = std::move(handlers);
  asio::co_spawn(executor_, Listen(shared_from_this()), asio::detached);
}

asio::awaitable<void> Standin::Listen(std::shared_ptr<Standin> self) {
  while (true) {
    auto [error] = co_await self->connection_.async_wait(kWaitRead, kAwait);
    if (error) co_return;  // closed by SendExit
    auto received = ReceiveNow(self->connection_.native_handle());
    if (!received) continue;
    if (received->text.empty()) break;
    auto packet = ParsePacket(received->text);
    if (packet) {
      self->Handle(*packet);
    } else {
      log::Warn("stand-in {}: {}", self->pid(), packet.error().message());
    }
  }
  if (self->handlers_.on_gone) self->handlers_.on_gone();
  self->handlers_ = {};
}

void Standin::Handle(const Packet& packet) {
  if (const auto* signal = std::get_if<SignalPacket>(&packet)) {
    if (handlers_.on_signal) handlers_.on_signal(signal->signal, signal->all);
  } else if (const auto* size = std::get_if<SizePacket>(&packet)) {
    if (handlers_.on_resize) handlers_.on_resize(size->rows, size->columns);
  } else {
    log::Warn("stand-in {}: said hello twice", pid());
  }
}

void Standin::SendExit(int status) {
  if (!connection_.is_open()) return;
  std::string text = fmt::format("X {}", status);
  // The socket's buffer has room, since nothing else is ever sent. An error means that the stand-in has gone.
  (void)send(connection_.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  handlers_ = {};
  boost::system::error_code ignored;
  connection_.close(ignored);
}

asio::awaitable<void> StandinServer::Serve(std::shared_ptr<StandinServer> self, UniqueFd listener) {
  asio::posix::stream_descriptor acceptor(self->executor_, listener.Release());
  while (UniqueFd connection = co_await AcceptNext(acceptor, SOCK_CLOEXEC)) {
    if (!IsAllowed(connection.get()) || self->connections_ >= kMaxUnclaimed) {
      log::Warn("refused a stand-in: it is of another user, or too many wait");
      continue;
    }
    asio::co_spawn(self->executor_, Receive(self, std::move(connection)), asio::detached);
  }
}

asio::awaitable<void> StandinServer::Receive(std::shared_ptr<StandinServer> self, UniqueFd connection) {
  ++self->connections_;
  auto claimed = co_await Register(self, std::move(connection));
  if (claimed) {
    co_await claimed->second.WaitFor(kUnclaimed);
    if (!claimed->second.happened()) self->waiting_.erase(claimed->first);
  } else {
    log::Warn("refused a stand-in: {}", claimed.error().message());
  }
  --self->connections_;
}

asio::awaitable<Result<std::pair<pid_t, Event>>> StandinServer::Register(std::shared_ptr<StandinServer> self,
                                                                         UniqueFd connection) {
  auto descriptor = std::make_shared<asio::posix::stream_descriptor>(self->executor_, connection.Release());
  asio::steady_timer deadline(self->executor_, kUnclaimed);
  deadline.async_wait([descriptor](boost::system::error_code error) {
    boost::system::error_code ignored;
    if (!error) descriptor->cancel(ignored);
  });
  auto [error] = co_await descriptor->async_wait(kWaitRead, kAwait);
  connection.Reset(descriptor->release());
  if (error) co_return Fail(Code::kDeadlineExceeded, "it has not said hello");
  auto received = ReceiveNow(connection.get());
  if (!received || received->text.empty()) co_return Fail(Code::kUnavailable, "it went without a hello");
  CO_TRY_ASSIGN(Packet packet, ParsePacket(received->text));
  const auto* hello = std::get_if<HelloPacket>(&packet);
  const size_t count = received->fds.size();
  if (hello == nullptr || count < 3 || count > 4) co_return Fail(Code::kInvalidArgument, "its hello is wrong");
  pid_t pid = hello->standin;
  if (self->waiting_.contains(pid)) co_return Fail(Code::kAlreadyExists, "it says hello as {} for a second time", pid);

  StdioFds stdio = {std::move(received->fds[0]), std::move(received->fds[1]), std::move(received->fds[2])};
  UniqueFd until_end = count == 4 ? std::move(received->fds[3]) : UniqueFd();
  auto standin =
      std::make_shared<Standin>(self->executor_, std::move(connection), *hello, std::move(stdio), std::move(until_end));
  Event claimed(self->executor_);
  self->waiting_.emplace(pid, Waiting{std::move(standin), claimed});
  std::exchange(self->arrived_, Event(self->executor_)).Happen();
  co_return std::pair(pid, claimed);
}

asio::awaitable<Result<std::shared_ptr<Standin>>> StandinServer::Claim(pid_t pid, std::string container,
                                                                       std::string exec, Patience patience) {
  auto self = shared_from_this();
  while (!waiting_.contains(pid)) {
    const auto next = patience.Next();
    if (next.count() == 0) co_return Fail(Code::kNotFound, "stand-in {} has not said hello {}", pid, patience.Text());
    Event arrived = arrived_;
    co_await arrived.WaitFor(next);
  }
  Waiting waiting = std::move(waiting_.extract(pid).mapped());
  waiting.claimed.Happen();
  const HelloPacket& hello = waiting.standin->hello();
  if (hello.container != container || hello.exec != exec) {
    co_return Fail(Code::kInvalidArgument, "stand-in {} stands for another process", pid);
  }
  co_return waiting.standin;
}

Result<UniqueFd> ListenSeqpacket(int directory, const std::string& name) {
  sockaddr_un address{.sun_family = AF_UNIX};
  std::string path = fmt::format("{}/{}", FdPath(directory), name);
  if (path.size() >= sizeof(address.sun_path)) return Fail(Code::kInvalidArgument, "the name {} is too long", name);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return FailErrno("cannot make a socket");
  if (unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT) return FailErrno("cannot remove the old {}", name);
  // Before bind: the new file gets the socket's mode, so that there is no moment with another mode.
  if (fchmod(listener.get(), 0600) != 0) return FailErrno("cannot restrict {}", name);
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return FailErrno("cannot bind {}", name);
  }
  if (listen(listener.get(), SOMAXCONN) != 0) return FailErrno("cannot listen at {}", name);
  return listener;
}

}  // namespace kata::sandbox
