// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/console.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/io_context.hpp>

#include "hypervisor/capped_log.h"

namespace kata::hypervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ConsoleTest : public ::testing::Test {
 protected:
  ConsoleTest() : console_(Console::Create(context_.get_executor())) {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    guest_.Reset(pair[1]);
    console_->OnLine([this](std::string_view line) { lines_.emplace_back(line); });
    console_->Attach(UniqueFd(pair[0]));
  }
  ~ConsoleTest() override {
    console_->Close();
    Poll();
  }

  void Poll() {
    context_.restart();
    while (context_.poll() > 0) {
    }
  }
  void Print(const std::string& text) {
    ASSERT_EQ(send(guest_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    Poll();
  }
  // An autobound abstract address, so that no file is needed.
  void Serve() {
    UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    address_.sun_family = AF_UNIX;
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address_), sizeof(sa_family_t)), 0);
    length_ = sizeof address_;
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address_), &length_), 0);
    ASSERT_EQ(listen(listener.get(), 32), 0);
    console_->Serve(std::move(listener));
    Poll();
  }
  UniqueFd Client() {
    UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address_), length_), 0);
    Poll();
    return client;
  }
  // What the client can read now, with "<end>" appended at the end of the stream.
  static std::string Read(const UniqueFd& client) {
    std::string all;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = recv(client.get(), buffer, sizeof buffer, 0)) > 0) all.append(buffer, static_cast<size_t>(count));
    return count == 0 ? all + "<end>" : all;
  }

  asio::io_context context_;
  std::shared_ptr<Console> console_;
  UniqueFd guest_;
  std::vector<std::string> lines_;
  sockaddr_un address_ = {};
  socklen_t length_ = 0;
};

TEST_F(ConsoleTest, KeepsTheEndAndOnlyThat) {
  std::string all;
  for (int i = 0; i < 3000; ++i) all += "line " + std::to_string(i) + "\n";
  Print(all);
  const std::string tail = console_->Tail();
  EXPECT_LE(tail.size(), Console::kTailSize);
  EXPECT_GT(tail.size(), Console::kTailSize - 20);
  EXPECT_THAT(tail, EndsWith("line 2998\nline 2999\n"));
  EXPECT_THAT(tail, StartsWith("line "));
  EXPECT_THAT(lines_, SizeIs(3000));
}

TEST_F(ConsoleTest, NothingGetsThroughThatATerminalWouldObey) {
  Print("a\x1b[2J\r\n\x07\xc2\x9b\x7f\tz\n");
  EXPECT_EQ(console_->Tail(), "a\\x1b[2J\n\\x07\\xc2\\x9b\\x7f\tz\n");
}

TEST_F(ConsoleTest, LinesAreCutAndEmptyOnesKept) {
  Print("par");
  Print("tial\n\n" + std::string(5000, 'x') + "\n");
  EXPECT_THAT(lines_, ElementsAre("partial", "", std::string(1024, 'x')));
}

TEST_F(ConsoleTest, ServesTheTailAndWhatFollowsToEveryClient) {
  Serve();
  Print("before\n");
  const UniqueFd one = Client();
  const UniqueFd two = Client();
  Print("after\n");
  EXPECT_EQ(Read(one), "before\nafter\n");
  EXPECT_EQ(Read(two), "before\nafter\n");
}

TEST_F(ConsoleTest, ASlowClientIsDroppedAndHoldsNobodyUp) {
  Serve();
  const UniqueFd slow = Client();
  const UniqueFd reader = Client();
  size_t got = 0;
  for (int i = 0; i < 200; ++i) {
    Print(std::string(8191, 'x') + "\n");
    got += Read(reader).size();
  }
  EXPECT_EQ(got, 200U * 8192U);
  EXPECT_THAT(Read(slow), EndsWith("<end>"));
}

TEST_F(ConsoleTest, ClientsAreLimitedAndThoseThatLeftDoNotCount) {
  Serve();
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i < Console::kMaxClients; ++i) clients.push_back(Client());
  EXPECT_EQ(Read(Client()), "<end>");
  clients.pop_back();
  EXPECT_EQ(Read(Client()), "");
}

TEST_F(ConsoleTest, DrainTakesWhatWaitsAtTheEnd) {
  ASSERT_EQ(send(guest_.get(), "last words\n", 11, 0), 11);
  guest_.Reset();
  console_->Drain();
  EXPECT_EQ(console_->Tail(), "last words\n");
}

TEST(CappedLogTest, KeepsTheFirstBytesAndRefusesMore) {
  const auto log = CappedLog::Create();
  ASSERT_TRUE(log) << log.error().message();
  EXPECT_EQ(log->Tail(), "");
  const std::string line = "a\x1b[0m message\n";
  ASSERT_EQ(write(log->fd(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
  EXPECT_EQ(log->Tail(), "a\\x1b[0m message");
  const std::string big(CappedLog::kSize, 'x');
  size_t total = line.size();
  for (ssize_t count; (count = write(log->fd(), big.data(), big.size())) > 0;) total += static_cast<size_t>(count);
  EXPECT_EQ(errno, EPERM);
  EXPECT_LE(total, CappedLog::kSize);
  EXPECT_EQ(log->Tail(100).size(), 100U);
}

}  // namespace
}  // namespace kata::hypervisor
