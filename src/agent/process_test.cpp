// SPDX-License-Identifier: Apache-2.0
// Process with real children, without a container around them.
#include "agent/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/event_loop_test.h"
#include "agent/payload_test.h"
#include "agent/reaper.h"
#include "base/child.h"

namespace kata::agent {
namespace {

class ProcessTest : public EventLoopTest {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }

  // Runs a shell command with pipes.
  std::shared_ptr<Process> StartShell(const std::string& script, uint32_t pipe_size = 0) {
    const Reaper::Hold hold;
    auto pipes = MakePipes(false, 0, 0, pipe_size);
    EXPECT_TRUE(pipes);
    Command command;
    command.argv = {"/bin/sh", "-c", script};
    command.stdin_fd = pipes->child.stdin_read.get();
    command.stdout_fd = pipes->child.stdout_write.get();
    command.stderr_fd = pipes->child.stderr_write.get();
    auto child = Spawn(command);
    EXPECT_TRUE(child);
    StartedProcess started;
    started.pidfd = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, child->pid(), 0)));
    started.pid = child->Disown();
    pipes->child = ProcessIo();
    auto process = Process::Adopt(executor(), std::move(started), *std::move(pipes));
    EXPECT_TRUE(process);
    return *process;
  }

  std::string ReadAll(Process& process) {
    std::string all;
    for (;;) {
      auto data = Run(process.ReadStdout(UINT32_MAX));
      EXPECT_TRUE(data);
      if (!data || data->data.size() == 0) return all;
      all += Text(*std::move(data));
    }
  }

  Reaper reaper_{executor()};
};

TEST_F(ProcessTest, StatusAndOutputInAnyOrder) {
  auto first = StartShell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(Run(first->Wait()), 7);
  EXPECT_FALSE(first->Done()) << "its output was not read";
  EXPECT_EQ(ReadAll(*first), "out\n");
  EXPECT_EQ(Text(*Run(first->ReadStderr(100))), "err\n");
  EXPECT_EQ(Text(*Run(first->ReadStderr(100))), "");
  EXPECT_TRUE(first->Done());
  EXPECT_EQ(Run(first->Wait()), 7) << "and again";

  auto second = StartShell("echo out; kill -9 $$");
  EXPECT_EQ(ReadAll(*second), "out\n");
  EXPECT_EQ(Run(second->Wait()), 137);
}

TEST_F(ProcessTest, SeveralWaiters) {
  auto process = StartShell("read line; exit $line");
  std::optional<int> one;
  std::optional<int> two;
  Start(process->Wait(), one);
  Start(process->Wait(), two);
  RunReady();
  EXPECT_FALSE(one || two);
  ASSERT_TRUE(Run(process->WriteStdin("5\n")));
  RunUntil([&] { return one && two; });
  EXPECT_EQ(*one, 5);
  EXPECT_EQ(*two, 5);
}

TEST_F(ProcessTest, SignalsReachItUntilItEnds) {
  auto process = StartShell("exec sleep 1000");
  ASSERT_TRUE(process->Signal(0));
  ASSERT_TRUE(process->Signal(SIGTERM));
  EXPECT_EQ(Run(process->Wait()), 128 + SIGTERM);
  EXPECT_EQ(process->Signal(SIGTERM).error().code(), Code::kNotFound);
  EXPECT_EQ(process->Signal(0).error().code(), Code::kNotFound);
}

TEST_F(ProcessTest, MegabytesThroughBothPipes) {
  auto process = StartShell("cat");
  std::string data(8U << 20U, '\0');
  uint32_t seed = 1;
  for (char& byte : data) byte = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24U);
  std::optional<Result<>> written;
  Start(process->WriteStdin(data), written);
  RunReady();
  process->CloseStdin();
  EXPECT_TRUE(ReadAll(*process) == data);
  EXPECT_TRUE(written && *written);
  EXPECT_EQ(Run(process->Wait()), 0);
}

TEST_F(ProcessTest, StdinOfAProcessThatDoesNotReadIsNoTrap) {
  // Exit and close race in different orders; no call may hang.
  for (int i = 0; i < 200; ++i) {
    auto process = StartShell("exit 0");
    if (i % 2 == 0) process->CloseStdin();
    std::optional<int> status;
    Start(process->Wait(), status);
    if (i % 3 == 0) RunReady();
    if (i % 2 == 1) process->CloseStdin();
    (void)Run(process->WriteStdin("nobody reads this"));
    RunUntil([&] { return status.has_value(); });
    EXPECT_EQ(*status, 0);
    process->CloseStdin();
    EXPECT_EQ(ReadAll(*process), "");
  }
}

TEST_F(ProcessTest, AWriterIsSentHomeWhenTheProcessEnds) {
  auto process = StartShell("exec sleep 1000");
  std::optional<Result<>> written;
  Start(process->WriteStdin(std::string(1 << 20, 'x')), written);
  RunReady();
  EXPECT_FALSE(written);
  ASSERT_TRUE(process->Signal(SIGKILL));
  RunUntil([&] { return written.has_value(); });
  EXPECT_EQ((*written).error().code(), Code::kFailedPrecondition);
}

TEST_F(ProcessTest, NoReaderMeansSigpipe) {
  auto process = StartShell("exec yes");
  EXPECT_GT(Run(process->ReadStdout(10))->data.size(), 0U);
  EXPECT_EQ(Run(process->ReadStdout(0))->data.size(), 0U);
  EXPECT_EQ(Run(process->Wait()), 128 + SIGPIPE);
}

TEST_F(ProcessTest, ADaemonOutlivesTheProcessAndItsStream) {
  auto process = StartShell("sleep 1000 & echo $! >&2; exit 3");
  EXPECT_EQ(Run(process->Wait()), 3);
  EXPECT_EQ(ReadAll(*process), "") << "the end, although the daemon has the pipe";
  const pid_t daemon = std::stoi(Text(*Run(process->ReadStderr(100))));
  EXPECT_EQ(kill(daemon, SIGKILL), 0) << "it lives on";
}

TEST_F(ProcessTest, PipesHaveTheSizeThatWasAskedFor) {
  auto pipes = MakePipes(false, 0, 0, 1 << 18);
  ASSERT_TRUE(pipes);
  EXPECT_EQ(fcntl(pipes->stdout_read.get(), F_GETPIPE_SZ), 1 << 18);
  EXPECT_FALSE(MakePipes(false, 0, 0, INT32_MAX));
}

}  // namespace
}  // namespace kata::agent
