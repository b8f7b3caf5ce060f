// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/stdio.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/child.h"
#include "base/files.h"
#include "sandbox/testing/fake_agent.h"
#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

using testing::FakeAgent;
using testing::Pipe;
using testing::ReadAvailable;

bool HasEnded(int reading_end) {
  pollfd state{.fd = reading_end, .events = POLLIN, .revents = 0};
  return poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}
bool IsUnread(int writing_end) {
  pollfd state{.fd = writing_end, .events = 0, .revents = 0};
  return poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

const AgentProcess kProcess{.container = "c", .exec = "e"};

class StdioTest : public testing::LoopTest {
 protected:
  StdioTest() : fake_(io_.get_executor()) {}

  std::shared_ptr<Stdio> Make(StdioFds fds, bool terminal = false) {
    auto stdio = Stdio::Create(io_.get_executor(), std::move(fds), terminal);
    EXPECT_TRUE(stdio);
    return *stdio;
  }
  void Start(const std::shared_ptr<Stdio>& stdio) {
    agent_ = std::make_shared<AgentClient>(
        rpc::Client::Create(io_.get_executor(), fake_.Connect()), [] { return Patience(std::chrono::seconds(30)); },
        [this](std::string why) { fault_ = std::move(why); });
    stdio->Start(agent_, kProcess);
  }
  FakeAgent::Process& process() { return fake_.process("c", "e"); }

  FakeAgent fake_;
  std::shared_ptr<AgentClient> agent_;
  std::string fault_;
};

TEST_F(StdioTest, BothOutputsArriveAndDrainWaitsForThem) {
  auto out = Pipe();
  auto err = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), std::move(err.second)});
  process().out = {"hello ", "world"};
  process().err = {"oh"};
  process().ended = true;
  Start(stdio);
  Await(stdio->Drain(testing::kHang));
  EXPECT_EQ(ReadAvailable(out.first.get()), "hello world");
  EXPECT_EQ(ReadAvailable(err.first.get()), "oh");
}

TEST_F(StdioTest, AReaderThatOpensTheFifoWhenAllIsOverGetsItAll) {
  char directory[] = "/tmp/kata-stdio-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  StdioTraits traits;
  traits.own = true;
  traits.keepers.push_back(*Open(path, O_RDONLY | O_NONBLOCK));
  StdioFds fds;
  fds[1] = *Open(path, O_WRONLY | O_NONBLOCK);
  auto stdio = *Stdio::Create(io_.get_executor(), std::move(fds), false, std::move(traits));
  process().out = {"late"};
  process().ended = true;
  Start(stdio);
  Await(stdio->Drain(testing::kHang));
  // cat blocks in open(2) until there is a writer.
  Command reader;
  reader.argv = {"/bin/sh", "-c", "[ \"$(cat " + path + ")\" = late ]"};
  auto child = Spawn(reader);
  ASSERT_TRUE(child);
  pollfd over{.fd = child->pidfd(), .events = POLLIN, .revents = 0};
  RunUntil([&] { return poll(&over, 1, 0) == 1; });
  EXPECT_EQ(child->Wait()->code, 0);
  unlink(path.c_str());
  rmdir(directory);
}

TEST_F(StdioTest, OutputThatNobodyWantsIsDropped) {
  auto stdio = Make({});
  process().out = {std::string(1000000, 'x')};
  process().ended = true;
  Start(stdio);
  Await(stdio->Drain(testing::kHang));
  EXPECT_TRUE(process().out.empty());
}

TEST_F(StdioTest, WhenTheReaderGoesTheAgentIsTold) {
  auto out = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), UniqueFd()});
  out.first.Reset();
  process().out = {"x", "y", "z"};
  Start(stdio);
  RunUntil([&] { return process().out_closed_by_host; });
  EXPECT_EQ(process().out.size(), 1U);  // at most one chunk ahead was asked for
}

TEST_F(StdioTest, WhatOthersWriteAfterTheExitArrives) {
  auto out = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), UniqueFd()});
  process().out = {"early "};
  process().ended = process().held = true;
  Start(stdio);
  Await(stdio->Drain(std::chrono::hours(1)));  // a failure would hang here
  EXPECT_EQ(ReadAvailable(out.first.get()), "early ");
  EXPECT_FALSE(stdio->ended().happened());
  fake_.Write("c", "e", "late");
  std::string got;
  RunUntil([&] { return (got += ReadAvailable(out.first.get())) == "late"; });
  process().held = false;
  fake_.Change();
  RunUntil([&] { return stdio->ended().happened(); });
  EXPECT_TRUE(HasEnded(out.first.get()));
}

TEST_F(StdioTest, AStreamThatTheGuestClosesIsClosedWhileTheProcessLives) {
  auto out = Pipe();
  auto err = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), std::move(err.second)});
  process().out_closed = true;
  Start(stdio);
  RunUntil([&] { return HasEnded(out.first.get()); });
  EXPECT_FALSE(HasEnded(err.first.get()));
  EXPECT_FALSE(stdio->ended().happened());
}

TEST_F(StdioTest, WhoeverWaitsForTheEndOfTheOutputsIsTold) {
  auto end = Pipe();
  StdioTraits traits;
  traits.until_end = std::move(end.second);
  auto stdio = *Stdio::Create(io_.get_executor(), {}, false, std::move(traits));
  process().ended = process().held = true;
  Start(stdio);
  Await(stdio->Drain(testing::kHang));
  EXPECT_FALSE(HasEnded(end.first.get()));
  process().held = false;
  fake_.Change();
  RunUntil([&] { return HasEnded(end.first.get()); });
}

TEST_F(StdioTest, StopClosesAllAlthoughTheAgentIsSilent) {
  auto in = Pipe();
  auto out = Pipe();
  auto stdio = Make({std::move(in.first), std::move(out.second), UniqueFd()});
  Start(stdio);
  io_.poll();
  stdio->Stop();
  RunUntil([&] { return stdio->ended().happened(); });
  EXPECT_TRUE(HasEnded(out.first.get()));
  EXPECT_TRUE(IsUnread(in.second.get()));
  // Processes that still write in the guest must not block for ever.
  RunUntil([&] { return process().out_closed_by_host; });
}

TEST_F(StdioTest, AReaderThatStandsStillDoesNotHoldTheEndBack) {
  auto out = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), UniqueFd()});
  for (int i = 0; i < 16; ++i) process().out.push_back(std::string(256 << 10, 'x'));
  process().ended = true;
  Start(stdio);
  Await(stdio->Drain(std::chrono::milliseconds(50)));
  EXPECT_FALSE(process().out.empty());
  // At most two chunks were taken: memory is bounded.
  EXPECT_GE(process().out.size(), 14U);
  stdio->Stop();
}

TEST_F(StdioTest, ASlowReaderOfOneStreamDoesNotHoldTheOther) {
  auto out = Pipe();
  auto err = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), std::move(err.second)});
  process().out = {std::string(1 << 20, 'x')};
  process().err = {"through"};
  Start(stdio);
  std::string got;
  RunUntil([&] { return (got += ReadAvailable(err.first.get())) == "through"; });
  EXPECT_EQ(got, "through");
  stdio->Stop();
}

TEST_F(StdioTest, StdinArrivesAndItsEndToo) {
  auto in = Pipe();
  auto stdio = Make({std::move(in.first), UniqueFd(), UniqueFd()});
  ASSERT_TRUE(WriteAll(in.second.get(), "typed"));
  Start(stdio);
  RunUntil([&] { return process().in == "typed"; });
  EXPECT_FALSE(process().stdin_closed);
  in.second.Reset();
  RunUntil([&] { return process().stdin_closed; });
}

TEST_F(StdioTest, AStdinThatNobodyReadsIsClosed) {
  auto in = Pipe();
  auto stdio = Make({std::move(in.first), UniqueFd(), UniqueFd()});
  Start(stdio);
  io_.poll();
  EXPECT_FALSE(IsUnread(in.second.get()));
  process().stdin_unread = true;
  fake_.Change();
  RunUntil([&] { return IsUnread(in.second.get()); });
}

TEST_F(StdioTest, StdinIsClosedWhenItHasEnded) {
  auto in = Pipe();
  auto stdio = Make({std::move(in.first), UniqueFd(), UniqueFd()});
  Start(stdio);
  stdio->EndInput();
  RunUntil([&] { return IsUnread(in.second.get()); });
}

TEST_F(StdioTest, NullAsStdinEndsAtOnce) {
  auto stdio = Make({UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)), UniqueFd(), UniqueFd()});
  Start(stdio);
  RunUntil([&] { return process().stdin_closed; });  // a failure would hang here
  EXPECT_EQ(process().in, "");
}

TEST_F(StdioTest, CloseStdinEndsAStdinThatIsStillOpen) {
  auto in = Pipe();
  auto stdio = Make({std::move(in.first), UniqueFd(), UniqueFd()});
  Start(stdio);
  io_.poll();
  EXPECT_FALSE(process().stdin_closed);
  stdio->CloseStdin();
  RunUntil([&] { return process().stdin_closed; });  // a failure would hang here
}

TEST_F(StdioTest, ATerminalsStdinIsNotClosed) {
  auto out = Pipe();
  auto stdio = Make({UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)), std::move(out.second), UniqueFd()}, true);
  process().out = {"$ "};
  process().ended = true;
  Start(stdio);
  Await(stdio->Drain(testing::kHang));
  EXPECT_EQ(ReadAvailable(out.first.get()), "$ ");
  EXPECT_FALSE(process().stdin_closed);
}

TEST_F(StdioTest, ATerminalThatIsHungUpHangsTheGuestsUp) {
  int master = -1;
  int slave = -1;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  UniqueFd own_master(master);
  UniqueFd own_slave(slave);
  auto stdio = Make({UniqueFd(dup(slave)), UniqueFd(dup(slave)), UniqueFd()}, true);
  Start(stdio);
  io_.poll();
  EXPECT_FALSE(process().out_closed_by_host);
  own_master.Reset();
  // The process has printed nothing, so no write has found the hang-up.
  RunUntil([&] { return process().out_closed_by_host; });
  EXPECT_FALSE(process().stdin_closed);
}

TEST_F(StdioTest, HangUpWaitsForTheProcess) {
  auto in = Pipe();
  auto stdio = Make({std::move(in.first), UniqueFd(), UniqueFd()}, true);
  stdio->HangUp();
  io_.poll();
  EXPECT_FALSE(process().out_closed_by_host);
  Start(stdio);
  RunUntil([&] { return process().out_closed_by_host; });
}

TEST_F(StdioTest, WithoutATerminalNothingIsHungUp) {
  auto in = Pipe();
  auto stdio = Make({std::move(in.first), UniqueFd(), UniqueFd()});
  Start(stdio);
  stdio->HangUp();
  in.second.Reset();
  RunUntil([&] { return process().stdin_closed; });
  EXPECT_FALSE(process().out_closed_by_host);
}

TEST_F(StdioTest, ALongStdinIsPassedOnWhole) {
  auto in = Pipe();
  auto stdio = Make({std::move(in.first), UniqueFd(), UniqueFd()});
  Start(stdio);
  std::string data(3 << 20, 'q');
  std::string_view rest = data;
  fcntl(in.second.get(), F_SETFL, O_NONBLOCK);
  RunUntil([&] {
    ssize_t put = write(in.second.get(), rest.data(), rest.size());
    if (put > 0) rest.remove_prefix(static_cast<size_t>(put));
    return rest.empty();
  });
  in.second.Reset();
  RunUntil([&] { return process().stdin_closed; });
  EXPECT_TRUE(process().in == data);
}

// The agent is not trusted.

TEST_F(StdioTest, MoreOutputThanWasAskedForIsAFault) {
  fake_.Replace<grpc::ReadStreamRequest, grpc::ReadStreamResponse>(
      "ReadStdout", [](grpc::ReadStreamRequest request) -> asio::awaitable<Result<grpc::ReadStreamResponse>> {
        grpc::ReadStreamResponse reply;
        reply.set_data(std::string(request.len() + 1, 'x'));
        co_return reply;
      });
  auto out = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), UniqueFd()});
  Start(stdio);
  RunUntil([&] { return !fault_.empty(); });
  EXPECT_EQ(ReadAvailable(out.first.get()), "");
}

TEST_F(StdioTest, ATrickleDoesNotHoldTheExitBack) {
  fake_.Replace<grpc::ReadStreamRequest, grpc::ReadStreamResponse>(
      "ReadStdout", [this](grpc::ReadStreamRequest) -> asio::awaitable<Result<grpc::ReadStreamResponse>> {
        asio::steady_timer timer(io_, std::chrono::milliseconds(10));
        co_await timer.async_wait(asio::use_awaitable);
        grpc::ReadStreamResponse reply;
        reply.set_data("x");
        co_return reply;
      });
  auto out = Pipe();
  auto stdio = Make({UniqueFd(), std::move(out.second), UniqueFd()});
  process().ended = true;
  Start(stdio);
  Await(stdio->Drain(std::chrono::milliseconds(100)));  // a failure would hang here
  stdio->Stop();
}

TEST_F(StdioTest, AFloodDoesNotHoldTheExitBack) {
  fake_.Replace<grpc::ReadStreamRequest, grpc::ReadStreamResponse>(
      "ReadStdout", [](grpc::ReadStreamRequest request) -> asio::awaitable<Result<grpc::ReadStreamResponse>> {
        grpc::ReadStreamResponse reply;
        reply.set_data(std::string(request.len(), 'x'));
        co_return reply;
      });
  auto stdio = Make({});
  process().ended = true;
  Start(stdio);
  Await(stdio->Drain(std::chrono::hours(1)));  // a failure would hang here
  EXPECT_FALSE(stdio->ended().happened());
  stdio->Stop();
}

TEST_F(StdioTest, AnOutputThatIsHeldAgainAndAgainHasEnded) {
  fake_.Replace<grpc::ReadStreamRequest, grpc::ReadStreamResponse>(
      "ReadStdout", [](grpc::ReadStreamRequest) -> asio::awaitable<Result<grpc::ReadStreamResponse>> {
        grpc::ReadStreamResponse reply;
        reply.set_held(true);
        co_return reply;
      });
  auto stdio = Make({});
  process().ended = true;
  Start(stdio);
  RunUntil([&] { return stdio->ended().happened(); });  // a failure would hang here
}

TEST_F(StdioTest, MoreStdinTakenThanOfferedIsAFault) {
  fake_.Replace<grpc::WriteStreamRequest, grpc::WriteStreamResponse>(
      "WriteStdin", [](grpc::WriteStreamRequest) -> asio::awaitable<Result<grpc::WriteStreamResponse>> {
        grpc::WriteStreamResponse reply;
        reply.set_len(4000000000U);
        co_return reply;
      });
  auto in = Pipe();
  ASSERT_TRUE(WriteAll(in.second.get(), "x"));
  Start(Make({std::move(in.first), UniqueFd(), UniqueFd()}));
  RunUntil([&] { return !fault_.empty(); });  // a failure would hang here
}

TEST_F(StdioTest, StdinThatIsNeverTakenEndsInsteadOfSpinning) {
  int offers = 0;
  fake_.Replace<grpc::WriteStreamRequest, grpc::WriteStreamResponse>(
      "WriteStdin", [&offers](grpc::WriteStreamRequest) -> asio::awaitable<Result<grpc::WriteStreamResponse>> {
        ++offers;
        co_return grpc::WriteStreamResponse();
      });
  auto in = Pipe();
  ASSERT_TRUE(WriteAll(in.second.get(), "x"));
  Start(Make({std::move(in.first), UniqueFd(), UniqueFd()}));
  RunUntil([&] { return process().stdin_closed; });
  EXPECT_EQ(offers, 1);
}

TEST_F(StdioTest, OutputThatIsNeverAnsweredDoesNotHoldTheEndBack) {
  auto stdio = Make({});
  Start(stdio);                                        // for the agent the process runs: it answers no read
  Await(stdio->Drain(std::chrono::milliseconds(20)));  // a failure would hang here
  stdio->Stop();
}

}  // namespace
}  // namespace kata::sandbox
