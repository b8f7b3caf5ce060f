// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sandbox/record/directory.h"
#include "sandbox/stdio/standin_packet.h"
#include "sandbox/stdio/standin_server.h"
#include "sandbox/task/task_client.h"
#include "sandbox/testing/run.h"
#include "sandbox/testing/say_hello.h"

namespace kata::sandbox {
namespace {

using testing::SayHello;

TEST(StandinPacket, WhatIsMeant) {
  auto hello = ParsePacket("H 12 c1");
  ASSERT_TRUE(hello);
  EXPECT_EQ(std::get<HelloPacket>(*hello).standin, 12);
  EXPECT_EQ(std::get<HelloPacket>(*hello).container, "c1");
  EXPECT_EQ(std::get<HelloPacket>(*ParsePacket("H 12 c1 e1")).exec, "e1");
  EXPECT_EQ(std::get<SignalPacket>(*ParsePacket("S 64")).signal, 64);
  EXPECT_FALSE(std::get<SignalPacket>(*ParsePacket("S 64")).all);
  EXPECT_EQ(std::get<SignalPacket>(*ParsePacket("A 15")).signal, 15);
  EXPECT_TRUE(std::get<SignalPacket>(*ParsePacket("A 15")).all);
  EXPECT_EQ(std::get<SizePacket>(*ParsePacket("W 24 80")).columns, 80U);
}

TEST(StandinPacket, WhatIsHostile) {
  for (const char* text :
       {"",        " ",        "H",          "H 12",    "H x c",   "H -1 c", "H 0 c", "H 99999999999 c",
        "H 12 ..", "H 12 a/b", "H 12 c e f", "H  12 c", "H 12 c ", "S",      "S 0",   "S 65",
        "S -9",    "S 9 9",    "A",          "A 0",     "A 15 1",  "S 9x",   "W 1",   "W 1 65536",
        "W -1 1",  "X 0",      "h 1 c",      "S 9\n"}) {
    auto packet = ParsePacket(text);
    ASSERT_FALSE(packet) << text;
    EXPECT_EQ(packet.error().code(), Code::kInvalidArgument);
  }
  EXPECT_FALSE(ParsePacket("H 1 " + std::string(300, 'a')));
  EXPECT_FALSE(ParsePacket(std::string("S 9\0", 4)));
}

class StandinServerTest : public testing::LoopTest {
 protected:
  StandinServerTest() : server_(std::make_shared<StandinServer>(io_.get_executor())) {
    auto listener = ListenSeqpacket(dir_.fd(), kStandinSocket);
    EXPECT_TRUE(listener);
    asio::co_spawn(io_, StandinServer::Serve(server_, *std::move(listener)), [](std::exception_ptr) {});
  }
  UniqueFd Connect() {
    auto connection = ConnectStandin(dir_.fd());
    EXPECT_TRUE(connection);
    return *std::move(connection);
  }
  Result<std::shared_ptr<Standin>> Claim(pid_t pid, std::string container, std::string exec,
                                         std::chrono::milliseconds timeout = testing::kHang) {
    return Await(server_->Claim(pid, std::move(container), std::move(exec), timeout));
  }

  testing::TempDir dir_;
  std::shared_ptr<StandinServer> server_;
};

TEST_F(StandinServerTest, TheSocketIsPrivate) {
  struct stat status {};
  ASSERT_EQ(fstatat(dir_.fd(), kStandinSocket, &status, 0), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(StandinServerTest, StdioComesThroughAndPacketsAreHeard) {
  auto connection = Connect();
  auto pipe = testing::Pipe();
  SayHello(connection.get(), "H 42 c1", {pipe.second.get(), pipe.second.get(), pipe.second.get()});
  auto standin = Claim(42, "c1", "");
  ASSERT_TRUE(standin) << standin.error().message();
  StdioFds stdio = (*standin)->TakeStdio();
  ASSERT_TRUE(WriteAll(stdio[1].get(), "over there"));
  EXPECT_EQ(testing::ReadAvailable(pipe.first.get()), "over there");
  EXPECT_NE(fcntl(stdio[1].get(), F_GETFD) & FD_CLOEXEC, 0);

  int signal = 0;
  uint32_t rows = 0;
  bool gone = false;
  Standin::Handlers handlers;
  handlers.on_signal = [&](int number, bool /*all*/) { signal = number; };
  handlers.on_resize = [&](uint32_t r, uint32_t) { rows = r; };
  handlers.on_gone = [&] { gone = true; };
  (*standin)->Attach(std::move(handlers));
  // Malformed packets in between have no effect.
  for (const char* text : {"S 15", "garbage", "H 42 c1", "W 50 100"}) send(connection.get(), text, strlen(text), 0);
  RunUntil([&] { return rows == 50; });
  EXPECT_EQ(signal, 15);
  EXPECT_FALSE(gone);
  connection.Reset();
  RunUntil([&] { return gone; });
}

TEST_F(StandinServerTest, AFourthDescriptorIsHeldUntilTheOutputsEnd) {
  auto connection = Connect();
  auto pipe = testing::Pipe();
  SayHello(connection.get(), "H 42 c1", {0, 1, 2, pipe.second.get()});
  pipe.second.Reset();
  auto standin = Claim(42, "c1", "");
  ASSERT_TRUE(standin);
  UniqueFd held = (*standin)->TakeUntilEnd();
  EXPECT_TRUE(WriteAll(held.get(), "x"));
  EXPECT_EQ(testing::ReadAvailable(pipe.first.get()), "x");
}

TEST_F(StandinServerTest, TheExitIsTold) {
  auto connection = Connect();
  SayHello(connection.get(), "H 42 c1 e1", {0, 1, 2});
  auto standin = Claim(42, "c1", "e1");
  ASSERT_TRUE(standin);
  bool gone = false;
  Standin::Handlers handlers;
  handlers.on_gone = [&] { gone = true; };
  (*standin)->Attach(std::move(handlers));
  io_.poll();
  (*standin)->SendExit(7);
  char text[16] = {};
  EXPECT_EQ(recv(connection.get(), text, sizeof(text), 0), 3);
  EXPECT_STREQ(text, "X 7");
  EXPECT_EQ(recv(connection.get(), text, sizeof(text), 0), 0);
  io_.restart();
  io_.poll();
  EXPECT_FALSE(gone);  // closed by SendExit, not by the stand-in
}

TEST_F(StandinServerTest, AHelloMayComeAfterTheClaim) {
  auto connection = Connect();
  std::optional<Result<std::shared_ptr<Standin>>> claimed;
  asio::co_spawn(io_, server_->Claim(7, "c", "", std::chrono::milliseconds(testing::kHang)),
                 [&](std::exception_ptr, auto result) { claimed = std::move(result); });
  for (int turn = 0; turn < 5; ++turn) io_.poll();
  EXPECT_FALSE(claimed);
  SayHello(connection.get(), "H 7 c", {0, 1, 2});
  RunUntil([&] { return claimed.has_value(); });
  EXPECT_TRUE(*claimed);
}

TEST_F(StandinServerTest, NobodyIsWaitedForForEver) {
  auto claimed = Claim(7, "c", "", std::chrono::milliseconds(10));
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().code(), Code::kNotFound);
}

TEST_F(StandinServerTest, AStandInStandsForWhatItSaid) {
  auto connection = Connect();
  SayHello(connection.get(), "H 7 c", {0, 1, 2});
  auto claimed = Claim(7, "c", "other");
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().code(), Code::kInvalidArgument);
}

TEST_F(StandinServerTest, BrokenHellosAreClosedAndTheNextIsServed) {
  std::vector<UniqueFd> broken;
  auto send_broken = [&](const std::string& text, std::vector<int> fds) {
    broken.push_back(Connect());
    SayHello(broken.back().get(), text, std::move(fds));
  };
  send_broken("H 7 c", {});
  send_broken("H 7 c", {0, 1});
  send_broken("H 7 c", {0, 1, 2, 0, 1});
  send_broken("S 9", {0, 1, 2});
  send_broken(std::string(4000, 'H'), {0, 1, 2});
  send_broken("H 7 c", std::vector<int>(40, 0));
  broken.push_back(Connect());
  shutdown(broken.back().get(), SHUT_WR);
  for (auto& connection : broken) {
    RunUntil([&] {
      char byte;
      return recv(connection.get(), &byte, 1, MSG_DONTWAIT) == 0;
    });
  }
  auto good = Connect();
  SayHello(good.get(), "H 7 c", {0, 1, 2});
  EXPECT_TRUE(Claim(7, "c", ""));
}

TEST_F(StandinServerTest, TheSamePidTwiceIsRefused) {
  auto first = Connect();
  SayHello(first.get(), "H 7 c", {0, 1, 2});
  auto second = Connect();
  SayHello(second.get(), "H 7 c", {0, 1, 2});
  RunUntil([&] {
    char byte;
    return recv(second.get(), &byte, 1, MSG_DONTWAIT) == 0;
  });
  EXPECT_TRUE(Claim(7, "c", ""));
}

}  // namespace
}  // namespace kata::sandbox
