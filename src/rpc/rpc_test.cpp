// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

#include "base/files.h"
#include "protocol/health.pb.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "rpc/unix_socket.h"

namespace kata::rpc {
namespace {

using std::chrono::milliseconds;

class RpcTest : public ::testing::Test {
 protected:
  RpcTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    near_ = UniqueFd(ends[0]);
    far_ = UniqueFd(ends[1]);
    table_.Method<grpc::CheckRequest, grpc::VersionCheckResponse>("grpc.Health", "Version", Version);
  }

  static asio::awaitable<Result<grpc::VersionCheckResponse>> Version(grpc::CheckRequest request) {
    if (request.service() == "throw") throw std::bad_alloc();
    if (request.service().empty()) co_return Fail(Code::kNotFound, "no such service");
    grpc::VersionCheckResponse reply;
    reply.set_agent_version(request.service());
    co_return reply;
  }

  void StartServer() {
    asio::co_spawn(context_, Serve(Connection::Create(context_.get_executor(), std::move(far_)), table_),
                   asio::detached);
  }

  // Runs a coroutine to its end.
  template <typename T>
  T Run(asio::awaitable<T> work) {
    auto future = asio::co_spawn(context_, std::move(work), asio::use_future);
    while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      context_.restart();
      context_.run_one();
    }
    return future.get();
  }

  Result<grpc::VersionCheckResponse> Ask(const std::string& service, milliseconds timeout = kNoTimeout) {
    if (!client_) client_ = Client::Create(context_.get_executor(), std::move(near_));
    grpc::CheckRequest request;
    request.set_service(service);
    return Run(client_->Call<grpc::VersionCheckResponse>("grpc.Health", "Version", request, timeout));
  }

  asio::io_context context_;
  MethodTable table_;
  UniqueFd near_;
  UniqueFd far_;
  std::shared_ptr<Client> client_;
};

TEST_F(RpcTest, CallsAndErrorsCrossTheWire) {
  StartServer();
  EXPECT_EQ(Ask("hello")->agent_version(), "hello");
  EXPECT_EQ(Ask("").error().code(), Code::kNotFound);
  EXPECT_EQ(Ask("").error().message(), "no such service");
  EXPECT_EQ(Ask("throw").error().code(), Code::kInternal);
  const std::string large(3U << 20U, 'x');
  EXPECT_EQ(Ask(large)->agent_version(), large);
}

TEST_F(RpcTest, AReplyWhoseEndIsInAPipe) {
  // More than a socket buffer holds.
  const std::string end(1U << 20U, 'x');
  table_.Add("a.B", "C", [&](std::string) -> asio::awaitable<Result<Payload>> {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    Piped tail{UniqueFd(ends[0]), end.size()};
    const UniqueFd in(ends[1]);
    EXPECT_GE(fcntl(in.get(), F_SETPIPE_SZ, static_cast<int>(end.size())), 0);
    EXPECT_TRUE(WriteAll(in.get(), end));
    co_return Payload("start of ", std::move(tail));
  });
  StartServer();
  EXPECT_EQ(Ask("before")->agent_version(), "before");
  EXPECT_EQ(*Run(client_->CallRaw("a.B", "C", "", kNoTimeout)), "start of " + end);
  EXPECT_EQ(Ask("after")->agent_version(), "after");
}

TEST_F(RpcTest, AReplyThatIsNotAllInItsPipeEndsTheConnection) {
  table_.Add("a.B", "C", [&](std::string) -> asio::awaitable<Result<Payload>> {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd in(ends[1]);
    co_return Payload("start", Piped{UniqueFd(ends[0]), 10});
  });
  StartServer();
  client_ = Client::Create(context_.get_executor(), std::move(near_));
  EXPECT_EQ(Run(client_->CallRaw("a.B", "C", "", kNoTimeout)).error().code(), Code::kUnavailable);
}

TEST_F(RpcTest, UnknownMethodNamesItself) {
  StartServer();
  client_ = Client::Create(context_.get_executor(), std::move(near_));
  const auto reply = Run(client_->CallRaw("a.B", "C", "", kNoTimeout));
  EXPECT_EQ(reply.error().code(), Code::kUnimplemented);
  EXPECT_EQ(reply.error().message(), "a.B/C is not implemented");
}

TEST_F(RpcTest, TooLargeAMessageFailsOnlyThatCall) {
  StartServer();
  EXPECT_EQ(Ask(std::string(kMaxPayload + 1, 'x')).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(Ask("still here")->agent_version(), "still here");
}

TEST_F(RpcTest, TooLargeAReplyIsAnErrorAndNotSilence) {
  table_.Add("a.B", "C",
             [](std::string) -> asio::awaitable<Result<Payload>> { co_return Payload(std::string(kMaxPayload, 'x')); });
  StartServer();
  EXPECT_EQ(Ask("before")->agent_version(), "before");
  const auto reply = Run(client_->CallRaw("a.B", "C", "", kNoTimeout));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kResourceExhausted);
  EXPECT_LT(reply.error().message().size(), 200U);
  EXPECT_EQ(Ask("after")->agent_version(), "after");
}

TEST_F(RpcTest, AReplyOverItsCallsLimitIsDropped) {
  table_.Add("a.B", "C",
             [](std::string) -> asio::awaitable<Result<Payload>> { co_return Payload(std::string(2U << 20U, 'x')); });
  StartServer();
  EXPECT_EQ(Ask("before")->agent_version(), "before");
  EXPECT_EQ(Run(client_->CallRaw("a.B", "C", "", kNoTimeout, 1U << 20U)).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(Run(client_->CallRaw("a.B", "C", "", kNoTimeout, 3U << 20U))->size(), 2U << 20U);
  EXPECT_EQ(Ask("after")->agent_version(), "after");
}

TEST_F(RpcTest, AnErrorsTextIsShortAndUtf8) {
  table_.Add("a.B", "C", [](std::string) -> asio::awaitable<Result<Payload>> {
    co_return Fail(Code::kInternal, "{}", "\xff" + std::string(5U << 20U, 'x'));
  });
  StartServer();
  client_ = Client::Create(context_.get_executor(), std::move(near_));
  const auto reply = Run(client_->CallRaw("a.B", "C", "", kNoTimeout));
  EXPECT_EQ(reply.error().code(), Code::kInternal);
  EXPECT_TRUE(reply.error().message().starts_with("\\xffxxx"));
  EXPECT_LE(reply.error().message().size(), 64U << 10U);
}

// Raw bytes from a peer that violates the protocol.
TEST_F(RpcTest, AnAnswerToNoCallEndsTheConnection) {
  const auto header = EncodeHeader({.length = 0, .stream = 99, .type = FrameType::kResponse});
  ASSERT_TRUE(WriteAll(far_.get(), std::string(header.begin(), header.end())));
  const auto reply = Ask("x");
  EXPECT_EQ(reply.error().code(), Code::kUnavailable);
  EXPECT_EQ(reply.error().message(), "the peer answered a call that does not wait for an answer");
}

TEST_F(RpcTest, ASecondAnswerEndsTheConnection) {
  const auto header = EncodeHeader({.length = 0, .stream = 1, .type = FrameType::kResponse});
  const std::string answer(header.begin(), header.end());
  ASSERT_TRUE(WriteAll(far_.get(), answer + answer));
  EXPECT_TRUE(Ask("x"));
  Run(client_->Closed());
  EXPECT_TRUE(client_->closed());
}

TEST_F(RpcTest, AnAnswerThatComesTooLateIsNoFault) {
  EXPECT_EQ(Ask("x", milliseconds(1)).error().code(), Code::kDeadlineExceeded);
  StartServer();
  EXPECT_EQ(Ask("y")->agent_version(), "y");
}

TEST_F(RpcTest, AnUnknownCodeIsUnknown) {
  const std::string status = "\x0a\x02\x08\x63";  // Response.status.code = 99
  const auto header =
      EncodeHeader({.length = static_cast<uint32_t>(status.size()), .stream = 1, .type = FrameType::kResponse});
  ASSERT_TRUE(WriteAll(far_.get(), std::string(header.begin(), header.end()) + status));
  EXPECT_EQ(Ask("x").error().code(), Code::kUnknown);
}

TEST_F(RpcTest, SilentPeerMeansDeadlineExceeded) {
  EXPECT_EQ(Ask("x", milliseconds(20)).error().code(), Code::kDeadlineExceeded);
}

TEST_F(RpcTest, GonePeerMeansUnavailableForAllCalls) {
  far_.Reset();
  EXPECT_EQ(Ask("x").error().code(), Code::kUnavailable);
  EXPECT_EQ(Ask("x").error().code(), Code::kUnavailable);
  EXPECT_TRUE(client_->closed());
  Run(client_->Closed());
}

TEST_F(RpcTest, GarbageEndsTheConnection) {
  const std::string garbage(64, '\xff');
  ASSERT_TRUE(WriteAll(far_.get(), garbage));
  EXPECT_EQ(Ask("x").error().code(), Code::kUnavailable);
}

TEST_F(RpcTest, ServerDropsAPeerThatSendsGarbage) {
  StartServer();
  ASSERT_TRUE(WriteAll(near_.get(), std::string(64, '\xff')));
  asio::posix::stream_descriptor waiter(context_, near_.Release());
  const auto wait = [](asio::posix::stream_descriptor& fd) -> asio::awaitable<void> {
    co_await fd.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  };
  Run(wait(waiter));
  char byte = 0;
  EXPECT_LE(read(waiter.native_handle(), &byte, 1), 0);
}

TEST_F(RpcTest, UnixSocketIsPrivateAndServesPathsOfAnyLength) {
  std::string name = "/tmp/kata-rpc-XXXXXX";
  const std::string top = mkdtemp(name.data());
  const UniqueFd top_fd = Open(top, O_PATH | O_DIRECTORY).value();
  const UniqueFd dir = MakeDirsInRoot(top_fd.get(), std::string(120, 'd'), 0700).value();
  UniqueFd listener = ListenUnix(dir.get(), "task.sock").value();
  struct stat info {};
  ASSERT_EQ(fstatat(dir.get(), "task.sock", &info, 0), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  asio::co_spawn(context_, ServeUnix(std::move(listener), table_), asio::detached);
  near_ = ConnectUnix(dir.get(), "task.sock").value();
  EXPECT_EQ(Ask("by path")->agent_version(), "by path");
  EXPECT_TRUE(RemoveTree(top));
}

TEST_F(RpcTest, AServerCanLeaveTheEndOfAConnectionToItsClient) {
  std::string top = "/tmp/kata-rpc-XXXXXX";
  const UniqueFd dir = Open(mkdtemp(top.data()), O_PATH | O_DIRECTORY).value();
  const auto clients = std::make_shared<Clients>();
  asio::co_spawn(context_, ServeUnix(ListenUnix(dir.get(), "task.sock").value(), table_, clients), asio::detached);
  near_ = ConnectUnix(dir.get(), "task.sock").value();
  EXPECT_TRUE(Ask("hello"));
  const auto wait = [](std::shared_ptr<Clients> of, milliseconds time) -> asio::awaitable<bool> {
    const auto begin = std::chrono::steady_clock::now();
    co_await of->AwaitGone(time);
    co_return std::chrono::steady_clock::now() - begin >= time;
  };
  EXPECT_TRUE(Run(wait(clients, milliseconds(10))));
  EXPECT_TRUE(Ask("still here"));
  client_->Close();
  EXPECT_FALSE(Run(wait(clients, std::chrono::minutes(10))));
  EXPECT_TRUE(RemoveTree(top));
}

}  // namespace
}  // namespace kata::rpc
