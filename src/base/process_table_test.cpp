// SPDX-License-Identifier: Apache-2.0
#include "base/process_table.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"

namespace kata {
namespace {

TEST(ProcessTable, TellsProcessesApart) {
  auto self = IdentifyProcess(getpid());
  ASSERT_TRUE(self);
  EXPECT_TRUE(IsAlive(*self));
  EXPECT_FALSE(IsAlive({.pid = self->pid, .start_time = self->start_time + 1}));
  EXPECT_FALSE(IsAlive({}));
}

TEST(ProcessTable, HasTheArgumentsOfAProcess) {
  Command command;
  command.argv = {"/bin/sh", "-c", "echo; read x", "", "a b"};
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  command.stdin_fd = out.get();  // an empty pipe: the child blocks in read
  auto child = Spawn(command);
  ASSERT_TRUE(child) << child.error().message();
  EXPECT_THAT(ArgumentsOf(child->pid()), testing::ElementsAreArray(command.argv));
  child->End();
  EXPECT_THAT(ArgumentsOf(-1), testing::IsEmpty());
}

TEST(ProcessTable, AZombieIsNotAlive) {
  pid_t child = fork();
  if (child == 0) pause();
  auto process = IdentifyProcess(child);
  ASSERT_TRUE(process);
  EXPECT_TRUE(IsAlive(*process));
  kill(child, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(IsAlive(*process));
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(IsAlive(*process));
}

TEST(ProcessTable, HasTheChildrenOfAProcess) {
  const pid_t child = fork();
  if (child == 0) pause();
  const pid_t other = fork();
  if (other == 0) pause();
  EXPECT_THAT(ChildrenOf(getpid()), testing::IsSupersetOf({child, other}));
  EXPECT_THAT(ChildrenOf(child), testing::IsEmpty());
  for (const pid_t pid : {child, other}) {
    const auto process = IdentifyProcess(pid);
    ASSERT_TRUE(process);
    EXPECT_FALSE(IsHeld(pid));
    kill(pid, SIGSTOP);
    siginfo_t info;
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED), 0);
    EXPECT_TRUE(IsHeld(pid));
    // Now a zombie, since nobody has reaped it.
    EXPECT_TRUE(EndProcess(*process, std::chrono::milliseconds(0)));
    EXPECT_FALSE(IsAlive(*process));
    EXPECT_TRUE(IsThere(*process));
    waitpid(pid, nullptr, 0);
    EXPECT_FALSE(IsThere(*process));
  }
  EXPECT_THAT(ChildrenOf(child), testing::IsEmpty());
}

TEST(ProcessTable, ASignalReachesThatVeryProcessOnly) {
  auto child = Fork({}, [] {
    signal(SIGUSR1, [](int) { _exit(7); });
    signal(SIGUSR2, [](int) { _exit(8); });
    raise(SIGSTOP);
    for (;;) pause();
  });
  ASSERT_TRUE(child);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child->pid()), &info, WSTOPPED), 0);
  const ProcessRef process = *IdentifyProcess(child->pid());
  EXPECT_FALSE(SendSignal({.pid = process.pid, .start_time = process.start_time + 1}, SIGUSR1));
  EXPECT_TRUE(SendSignal(process, SIGUSR2));
  EXPECT_TRUE(SendSignal(process, SIGCONT));
  EXPECT_EQ(child->Wait()->Shell(), 8);
  EXPECT_FALSE(SendSignal(process, SIGUSR1));
}

}  // namespace
}  // namespace kata
