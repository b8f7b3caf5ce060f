// SPDX-License-Identifier: Apache-2.0
#include "agent/reaper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/event_loop_test.h"

namespace kata::agent {
namespace {

// A child that exits with a given status, or by a given signal, once release is closed.
struct Sleeper {
  pid_t pid = -1;
  UniqueFd release;
};

Sleeper StartSleeper(int status, int signal = 0) {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    // Closes the pipes of other children, which reach their end only when the last copy is closed.
    dup2(fds[0], STDIN_FILENO);
    close_range(3, ~0U, 0);
    char byte = 0;
    (void)!read(STDIN_FILENO, &byte, 1);
    if (signal != 0) raise(signal);
    _exit(status);
  }
  close(fds[0]);
  return Sleeper{pid, UniqueFd(fds[1])};
}

class ReaperTest : public EventLoopTest {
 protected:
  Reaper reaper_{executor()};
};

TEST_F(ReaperTest, TellsStatusAndSignal) {
  auto first = StartSleeper(7);
  auto second = StartSleeper(0, SIGKILL);
  std::optional<Result<ExitStatus>> one;
  std::optional<Result<ExitStatus>> two;
  Start(reaper_.Wait(first.pid), one);
  Start(reaper_.Wait(second.pid), two);
  RunReady();
  EXPECT_FALSE(one || two) << "they are still running";
  second.release.Reset();
  first.release.Reset();
  RunUntil([&] { return one && two; });
  EXPECT_EQ((*one)->code, 7);
  EXPECT_EQ((*two)->signal, SIGKILL);
}

TEST_F(ReaperTest, KeepsTheStatusOfAClaimedChildThatEndedFirst) {
  auto child = StartSleeper(3);
  reaper_.Claim(child.pid);
  auto witness = StartSleeper(0);
  child.release.Reset();
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT), 0);
  witness.release.Reset();
  ASSERT_TRUE(Run(reaper_.Wait(witness.pid))) << "by now both have been collected";
  EXPECT_EQ(waitpid(child.pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(Run(reaper_.Wait(child.pid))->code, 3);
}

TEST_F(ReaperTest, AHoldKeepsStatusesOfStrangers) {
  std::optional<Reaper::Hold> hold(std::in_place);
  auto child = StartSleeper(5);
  auto witness = StartSleeper(0);
  child.release.Reset();
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT), 0);
  witness.release.Reset();
  ASSERT_TRUE(Run(reaper_.Wait(witness.pid)));
  EXPECT_EQ(Run(reaper_.Wait(child.pid))->code, 5);
  hold.reset();
  EXPECT_EQ(Run(reaper_.Wait(child.pid)).error().code(), Code::kNotFound) << "it is told once";
}

TEST_F(ReaperTest, ReapsOrphansOfOthers) {
  // Makes this process adopt its orphaned grandchildren, as PID 1 does.
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(0);
    (void)!write(fds[1], &grandchild, sizeof grandchild);
    _exit(0);
  }
  pid_t grandchild = 0;
  ASSERT_EQ(read(fds[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
  ASSERT_TRUE(Run(reaper_.Wait(child)));
  RunUntil([&] { return kill(grandchild, 0) < 0 && errno == ESRCH; });
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
  close(fds[0]);
  close(fds[1]);
}

TEST_F(ReaperTest, AStrangerIsNotFound) { EXPECT_EQ(Run(reaper_.Wait(1)).error().code(), Code::kNotFound); }

}  // namespace
}  // namespace kata::agent
