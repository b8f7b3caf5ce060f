// SPDX-License-Identifier: Apache-2.0
// The relay between a guest, which is the test, and a real server in a network namespace; needs root.
#include "sandbox/task/forward_names.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/detached.hpp>

#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

using contract::NameFrame;

class NameRelayTest : public testing::LoopTest {
 protected:
  NameRelayTest() : pod_(network::Namespace::New()) {
    EXPECT_TRUE(pod_->Do([this]() -> Result<> {
      const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ifreq request{};
      request.ifr_name[0] = 'l';
      request.ifr_name[1] = 'o';
      request.ifr_flags = IFF_UP;
      if (ioctl(any.get(), SIOCSIFFLAGS, &request) != 0) return FailErrno("cannot set lo up");
      udp_ = TRY(Server(SOCK_DGRAM));
      tcp_ = TRY(Server(SOCK_STREAM));
      return {};
    }));
    testing::FdPair pair = testing::SocketPair(SOCK_STREAM | SOCK_NONBLOCK);
    guest_ = std::move(pair.first);
    relay_ = std::make_shared<NameRelay>(io_.get_executor(), std::move(pair.second), *pod_, nullptr);
    asio::co_spawn(io_, NameRelay::Run(relay_), [this](const std::exception_ptr&) { ended_ = true; });
  }

  static Result<UniqueFd> Server(int type) {
    UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(kNamePort);
    inet_pton(AF_INET, kEngineNameServer, &address.sin_addr);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return FailErrno("bind");
    if (type == SOCK_STREAM && listen(fd.get(), 100) != 0) return FailErrno("listen");
    return fd;
  }
  void Query(uint32_t number, bool tcp, const std::string& message) const {
    const NameFrame frame{.query = number, .tcp = tcp, .size = static_cast<uint16_t>(message.size())};
    ASSERT_TRUE(WriteAll(guest_.get(), contract::PackName(frame) + message));
  }
  // What has come to a socket, once that is at least so many bytes.
  std::string Await(int fd, size_t size) {
    std::string text;
    RunUntil([&] {
      text += testing::ReadAvailable(fd);
      return text.size() >= size;
    });
    return text;
  }
  sockaddr_in AwaitQuery(const std::string& expected) {
    sockaddr_in client{};
    socklen_t size = sizeof client;
    std::string text(100, '\0');
    ssize_t count = -1;
    RunUntil([&] {
      count = recvfrom(udp_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&client), &size);
      return count >= 0;
    });
    text.resize(static_cast<size_t>(count));
    EXPECT_EQ(text, expected);
    return client;
  }
  void Answer(const sockaddr_in& client, const std::string& text) const {
    EXPECT_EQ(
        sendto(udp_.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&client), sizeof client),
        static_cast<ssize_t>(text.size()));
  }
  UniqueFd AwaitConnection() {
    UniqueFd connection;
    RunUntil([&] {
      connection.Reset(accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      return static_cast<bool>(connection);
    });
    return connection;
  }
  static std::string Packed(uint32_t number, bool tcp, const std::string& message) {
    return contract::PackName({.query = number, .tcp = tcp, .size = static_cast<uint16_t>(message.size())}) + message;
  }

  Result<network::Namespace> pod_;
  UniqueFd udp_, tcp_, guest_;
  std::shared_ptr<NameRelay> relay_;
  bool ended_ = false;
};

TEST_F(NameRelayTest, AnswersInAnyOrder) {
  Query(1, /*tcp=*/false, "one");
  const sockaddr_in one = AwaitQuery("one");
  Query(2, /*tcp=*/false, "two");
  const sockaddr_in two = AwaitQuery("two");
  Answer(two, "answer two");
  EXPECT_EQ(Await(guest_.get(), 17), Packed(2, false, "answer two"));
  Answer(one, "answer one");
  EXPECT_EQ(Await(guest_.get(), 17), Packed(1, false, "answer one"));
}

TEST_F(NameRelayTest, ByTcp) {
  Query(5, /*tcp=*/true, "query");
  const UniqueFd connection = AwaitConnection();
  EXPECT_EQ(Await(connection.get(), 7), std::string("\0\5query", 7));
  ASSERT_TRUE(WriteAll(connection.get(), std::string("\0\6an", 4)));
  ASSERT_TRUE(WriteAll(connection.get(), "swer"));
  EXPECT_EQ(Await(guest_.get(), 13), Packed(5, true, "answer"));
}

TEST_F(NameRelayTest, NobodyListens) {
  udp_.Reset();
  tcp_.Reset();
  Query(1, /*tcp=*/false, "one");
  EXPECT_EQ(Await(guest_.get(), 7), Packed(1, false, ""));
  Query(2, /*tcp=*/true, "two");
  EXPECT_EQ(Await(guest_.get(), 7), Packed(2, true, ""));
}

// A guest that asks and asks: the first 64 are asked, the others are not, and it goes on when those are answered.
TEST_F(NameRelayTest, AFloodOfQueries) {
  std::string flood;
  for (uint32_t i = 1; i <= 1000; ++i) flood += Packed(i, /*tcp=*/false, "q");
  ASSERT_TRUE(WriteAll(guest_.get(), flood));
  std::vector<sockaddr_in> clients;
  for (int i = 0; i < 64; ++i) clients.push_back(AwaitQuery("q"));
  io_.restart();
  while (io_.poll() > 0) continue;
  char byte = 0;
  EXPECT_EQ(recv(udp_.get(), &byte, 1, 0), -1) << "no more have been asked";
  for (const sockaddr_in& client : clients) Answer(client, "a");
  EXPECT_EQ(Await(guest_.get(), size_t{64} * 8).size(), size_t{64} * 8);
  Query(3000, /*tcp=*/false, "again");
  (void)AwaitQuery("again");
}

TEST_F(NameRelayTest, EndsWithItsStream) {
  ASSERT_TRUE(WriteAll(guest_.get(), "half"));
  guest_.Reset();
  RunUntil([this] { return ended_; });
}

TEST_F(NameRelayTest, EndsWhenItIsTold) {
  Query(1, /*tcp=*/false, "one");
  const sockaddr_in one = AwaitQuery("one");
  relay_->End();
  RunUntil([this] { return ended_; });
  Answer(one, "too late");
  RunUntil([this] { return relay_.use_count() == 1; });
}

}  // namespace
}  // namespace kata::sandbox
