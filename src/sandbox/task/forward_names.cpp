// SPDX-License-Identifier: Apache-2.0
#include "sandbox/task/forward_names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>

#include "base/log.h"
#include "sandbox/files/guest_mounts.h"
#include "sandbox/stdio/stdio.h"

namespace kata::sandbox {
namespace {

using contract::kNameFrameHead;
using contract::NameFrame;

constexpr size_t kMostQueries = 64;
// Longer than Docker's server itself waits for those that it asks.
constexpr std::chrono::seconds kLongestAnswer{20};

// The name of the guest's process among the execs of its container.
constexpr char kProcess[] = "kata-names";

bool NamesServer(const std::vector<std::string>& resolv_conf) {
  return std::any_of(resolv_conf.begin(), resolv_conf.end(), [](const std::string& line) {
    constexpr std::string_view kWord = "nameserver";
    if (!line.starts_with(kWord)) return false;
    const size_t begin = line.find_first_not_of(" \t", kWord.size());
    if (begin == std::string::npos || begin == kWord.size()) return false;
    return line.substr(begin, line.find_first_of(" \t\r", begin) - begin) == kEngineNameServer;
  });
}

// A socket that is connected to the server, or, by TCP, is on its way there.
Result<UniqueFd> Connect(bool tcp) {
  UniqueFd fd(socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kNamePort);
  inet_pton(AF_INET, kEngineNameServer, &address.sin_addr);
  if (!fd ||
      (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)) {
    return FailErrno("cannot ask {}", kEngineNameServer);
  }
  return fd;
}

// Writes and reads on one socket, with one limit for the whole time.
class Conversation {
 public:
  Conversation(const asio::any_io_executor& executor, UniqueFd fd)
      : socket_(std::make_shared<asio::posix::stream_descriptor>(executor, fd.Release())), limit_(executor) {
    limit_.expires_after(kLongestAnswer);
    limit_.async_wait([socket = socket_](boost::system::error_code error) {
      boost::system::error_code ignored;
      if (!error) socket->close(ignored);
    });
  }
  asio::posix::stream_descriptor& socket() { return *socket_; }

 private:
  std::shared_ptr<asio::posix::stream_descriptor> socket_;
  asio::steady_timer limit_;
};

Error Unanswered(const boost::system::error_code& error) {
  return Error(Code::kUnavailable, fmt::format("{} does not answer: {}", kEngineNameServer, error.message()));
}

}  // namespace

NameRelay::NameRelay(const asio::any_io_executor& executor, UniqueFd link, const network::Namespace& space,
                     std::shared_ptr<const void> keeper)
    : executor_(executor),
      link_(executor, link.Release()),
      space_(space),
      keeper_(std::move(keeper)),
      writing_(executor) {}

void NameRelay::End() {
  boost::system::error_code ignored;
  link_.close(ignored);
}

asio::awaitable<void> NameRelay::Run(std::shared_ptr<NameRelay> self) {
  std::array<char, kNameFrameHead> head{};
  while (self->link_.is_open()) {
    auto [head_error, head_count] = co_await asio::async_read(self->link_, asio::buffer(head), kAwait);
    if (head_error) break;
    const NameFrame frame = contract::UnpackName({head.data(), head.size()});
    std::string query(frame.size, '\0');
    auto [error, count] = co_await asio::async_read(self->link_, asio::buffer(query), kAwait);
    if (error) break;
    if (self->queries_ == kMostQueries) continue;
    ++self->queries_;
    asio::co_spawn(self->executor_, Serve(self, frame, std::move(query)), asio::detached);
  }
  self->End();
}

asio::awaitable<void> NameRelay::Serve(std::shared_ptr<NameRelay> self, NameFrame frame, std::string query) {
  auto answer = co_await self->Ask(frame.tcp, std::move(query));
  if (!answer) log::Debug("a name is not resolved: {}", answer.error().message());
  const std::string message = answer ? *std::move(answer) : std::string();
  frame.size = static_cast<uint16_t>(message.size());
  const std::string bytes = contract::PackName(frame) + message;
  {
    const auto turn = co_await self->writing_.Acquire();
    if (self->link_.is_open()) (void)co_await asio::async_write(self->link_, asio::buffer(bytes), kAwait);
  }
  --self->queries_;
}

asio::awaitable<Result<std::string>> NameRelay::Ask(bool tcp, std::string query) const {
  CO_TRY_ASSIGN(UniqueFd fd, space_.Do([tcp] { return Connect(tcp); }));
  Conversation with(executor_, std::move(fd));
  if (!tcp) {
    auto [write_error, written] = co_await with.socket().async_write_some(asio::buffer(query), kAwait);
    if (write_error) co_return tl::unexpected<Error>(Unanswered(write_error));
    std::string answer(UINT16_MAX, '\0');
    auto [error, count] = co_await with.socket().async_read_some(asio::buffer(answer), kAwait);
    if (error) co_return tl::unexpected<Error>(Unanswered(error));
    answer.resize(count);
    co_return answer;
  }
  // By TCP each message has its size before it.
  const NameFrame frame{.size = static_cast<uint16_t>(query.size())};
  query.insert(0, contract::PackName(frame).substr(kNameFrameHead - 2));
  auto [connect_error] = co_await with.socket().async_wait(asio::posix::descriptor_base::wait_write, kAwait);
  if (connect_error) co_return tl::unexpected<Error>(Unanswered(connect_error));
  auto [write_error, written] = co_await asio::async_write(with.socket(), asio::buffer(query), kAwait);
  if (write_error) co_return tl::unexpected<Error>(Unanswered(write_error));
  std::array<uint8_t, 2> size{};
  auto [size_error, size_count] = co_await asio::async_read(with.socket(), asio::buffer(size), kAwait);
  if (size_error) co_return tl::unexpected<Error>(Unanswered(size_error));
  std::string answer(static_cast<size_t>(size[0]) << 8U | size[1], '\0');
  auto [error, count] = co_await asio::async_read(with.socket(), asio::buffer(answer), kAwait);
  if (error) co_return tl::unexpected<Error>(Unanswered(error));
  co_return answer;
}

namespace {

asio::awaitable<void> EndWith(std::shared_ptr<Container> container, std::shared_ptr<NameRelay> relay) {
  co_await container->init->ended().Wait();
  relay->End();
}

asio::awaitable<void> RunRelay(std::shared_ptr<NameRelay> relay, std::shared_ptr<Stdio> stdio) {
  co_await NameRelay::Run(std::move(relay));
  stdio->Stop();
}

}  // namespace

asio::awaitable<Result<>> ForwardNames(std::shared_ptr<Sandbox> sandbox, std::shared_ptr<Container> container) {
  const std::shared_ptr<network::Network>& network = sandbox->vm().network();
  // The guest has one loopback: the first container that asks has the process that answers all.
  for (const auto& [id, other] : sandbox->containers()) {
    if (other->answers_names && other->status() != Status::kStopped) co_return Result<>();
  }
  if (container->resolv_conf.empty() || !network || !network->pod()) co_return Result<>();
  CO_TRY_ASSIGN(auto lines, sandbox->mounts().OnHost([&] { return DnsOf(container->resolv_conf); }));
  if (!NamesServer(lines)) co_return Result<>();
  std::array<int, 2> ends{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    co_return FailErrno("cannot make a socket for names");
  }
  UniqueFd link(ends[0]);
  StdioFds fds;
  fds[0].Reset(ends[1]);
  fds[1].Reset(fcntl(ends[1], F_DUPFD_CLOEXEC, 3));
  if (!fds[1]) co_return FailErrno("cannot duplicate a socket");
  StdioTraits traits{.own = true};
  CO_TRY_ASSIGN(auto stdio, Stdio::Create(sandbox->executor(), std::move(fds), /*terminal=*/false, std::move(traits)));
  auto agent = sandbox->vm().agent();
  AgentProcess process{.container = container->id, .exec = kProcess};
  CO_TRY(co_await agent->ForwardNames(process, kEngineNameServer, kNamePort));
  container->answers_names = true;
  stdio->Start(agent, process);
  auto relay = std::make_shared<NameRelay>(sandbox->executor(), std::move(link), *network->pod(), network);
  asio::co_spawn(sandbox->executor(), RunRelay(relay, stdio), asio::detached);
  asio::co_spawn(sandbox->executor(), EndWith(std::move(container), std::move(relay)), asio::detached);
  co_return Result<>();
}

asio::awaitable<void> HandOverNames(std::shared_ptr<Sandbox> sandbox) {
  const auto containers = sandbox->containers();
  for (const auto& [id, container] : containers) {
    if (container->status() != Status::kRunning && container->status() != Status::kPaused) continue;
    auto names = co_await ForwardNames(sandbox, container);
    if (!names) log::Warn("{} cannot ask its engine for names: {}", id, names.error().message());
    if (container->answers_names) co_return;
  }
}

}  // namespace kata::sandbox
