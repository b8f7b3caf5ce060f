// SPDX-License-Identifier: Apache-2.0
#include "runtime/foreground.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>

#include "base/files.h"
#include "protocol/wkt.pb.h"
#include "rpc/unix_socket.h"
#include "sandbox/record/directory.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

// A real stand-in. This test acts as its sandbox process; the Task service is a socket without replies.
class ForegroundTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    auto directory = Open(directory_, O_PATH | O_DIRECTORY);
    ASSERT_TRUE(directory);
    auto listener = rpc::ListenUnix(directory->get(), sandbox::kTaskSocket);
    ASSERT_TRUE(listener);
    listener_ = std::move(*listener);
    auto task = Task::Connect(directory->get());
    ASSERT_TRUE(task) << task.error().message();
    task_.emplace(std::move(*task));

    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
    const UniqueFd theirs(pair[1]);
    connection_ = UniqueFd(pair[0]);
    Command command;
    command.argv = {KATA_STANDIN, "c1"};
    command.extra_fds = {theirs.get()};
    command.new_session = true;
    auto standin = Spawn(command);
    ASSERT_TRUE(standin);
    standin_ = std::move(*standin);
    ASSERT_TRUE(Receive().starts_with("H "));
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(directory_)); }

  std::string Receive() {
    std::array<char, 1024> packet{};
    const ssize_t length = recv(connection_.get(), packet.data(), packet.size(), 0);
    return length > 0 ? std::string(packet.data(), static_cast<size_t>(length)) : std::string();
  }

  std::string directory_ = "/tmp/kata-foreground-XXXXXX";
  UniqueFd listener_;
  std::optional<Task> task_;
  UniqueFd connection_;
  Child standin_;
};

TEST_F(ForegroundTest, ReturnsTheStatus) {
  auto signals = Interrupts::Forwarded();
  ASSERT_TRUE(signals);
  ASSERT_EQ(send(connection_.get(), "X 42", 4, 0), 4);
  auto status = AwaitEnd(standin_, *task_, {.container = "c1", .exec_id = ""}, *signals);
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 42);
}

TEST_F(ForegroundTest, AKilledStandinIs137) {
  auto signals = Interrupts::Forwarded();
  ASSERT_TRUE(signals);
  ASSERT_TRUE(standin_.Signal(SIGKILL));
  auto status = AwaitEnd(standin_, *task_, {.container = "c1", .exec_id = ""}, *signals);
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 137);
}

TEST_F(ForegroundTest, WaitsForTheEndOfTheOutputs) {
  auto signals = Interrupts::Forwarded();
  ASSERT_TRUE(signals);
  auto outputs = MakeOutputsEnd();
  ASSERT_TRUE(outputs);
  const pid_t sandbox = fork();
  if (sandbox == 0) {
    // The stand-in ends and is reaped while the outputs are still open. AwaitEnd must not return within the 50 ms
    // after that.
    (void)send(connection_.get(), "X 6", 3, 0);
    const pid_t standin = standin_.Disown();
    while (kill(standin, 0) == 0) usleep(1000);
    usleep(50000);
    _exit(0);
  }
  outputs->there.Reset();
  auto status =
      AwaitEnd(standin_, *task_, {.container = "c1", .exec_id = "", .outputs = outputs->here.get()}, *signals);
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 6);
  pollfd end{.fd = outputs->here.get(), .events = 0, .revents = 0};
  EXPECT_EQ(poll(&end, 1, 0), 1);
  ASSERT_EQ(waitpid(sandbox, nullptr, 0), sandbox);
}

TEST_F(ForegroundTest, PassesSignalsOn) {
  auto signals = Interrupts::Forwarded();
  ASSERT_TRUE(signals);
  ASSERT_EQ(raise(SIGTERM), 0);
  ASSERT_EQ(raise(SIGUSR1), 0);
  ASSERT_EQ(raise(SIGWINCH), 0);  // ignored without a terminal
  const pid_t sandbox = fork();   // plays the sandbox process, since AwaitEnd blocks this one
  if (sandbox == 0) {
    const std::string first = Receive();
    const std::string second = Receive();
    const bool both = (first == "S 15" && second == "S 10") || (first == "S 10" && second == "S 15");
    const std::string end = both ? "X 3" : "X 99";
    (void)send(connection_.get(), end.data(), end.size(), 0);
    _exit(0);
  }
  auto status = AwaitEnd(standin_, *task_, {.container = "c1", .exec_id = ""}, *signals);
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 3);
  Child(sandbox, UniqueFd()).Disown();
}

TEST_F(ForegroundTest, ACallEndsWhenASignalComes) {
  auto interrupts = Interrupts::Ending();
  ASSERT_TRUE(interrupts);
  ASSERT_EQ(raise(SIGINT), 0);
  wkt::Empty request;
  auto reply = task_->Call<wkt::Empty>("Create", request, {}, &*interrupts);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kCancelled);
  EXPECT_EQ(reply.error().message(), "interrupted by signal 2");
}

TEST_F(ForegroundTest, ACallEndsWhenTheSandboxProcessGoes) {
  const UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(peer);
  ASSERT_EQ(shutdown(peer.get(), SHUT_RDWR), 0);
  wkt::Empty request;
  auto reply = task_->Call<wkt::Empty>("Create", request);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace kata::runtime
