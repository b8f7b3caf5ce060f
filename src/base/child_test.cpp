// SPDX-License-Identifier: Apache-2.0
#include "base/child.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"

namespace kata {
namespace {

std::string OutputOf(Command command) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  command.stdout_fd = write_end.get();
  auto child = Spawn(command);
  EXPECT_TRUE(child) << child.error().message();
  write_end.Reset();
  std::string text = ReadAll(read_end.get()).value();
  EXPECT_TRUE(child->Wait());
  return text;
}

TEST(Spawn, ReportsExitStatusAndSignal) {
  EXPECT_EQ(Spawn({.argv = {"sh", "-c", "exit 7"}})->Wait()->Shell(), 7);
  EXPECT_EQ(Spawn({.argv = {"sh", "-c", "kill -TERM $$"}})->Wait()->Shell(), 128 + SIGTERM);
}

TEST(Spawn, ExecFailureIsTheCallersError) {
  EXPECT_EQ(Spawn({.argv = {"/does/not/exist"}}).error().sys(), ENOENT);
  EXPECT_EQ(Spawn({.argv = {"/etc/passwd"}}).error().sys(), EACCES);
  EXPECT_EQ(Spawn({.argv = {"kata-no-such-program"}}).error().code(), Code::kNotFound);
}

TEST(Spawn, ChildHasOnlyTheDescriptorsItWasGiven) {
  const UniqueFd leak(open("/dev/zero", O_RDONLY));  // deliberately without close-on-exec
  const UniqueFd given = Open("/dev/null", O_RDONLY).value();
  Command command{.argv = {"sh", "-c", "ls -l /proc/$$/fd | sed -n 's/.* \\([0-9]*\\) -> \\(.*\\)/\\1 \\2/p'"}};
  command.extra_fds = {given.get()};
  const std::string text = OutputOf(std::move(command));
  EXPECT_NE(text.find("3 /dev/null"), std::string::npos) << text;
  EXPECT_EQ(text.find("/dev/zero"), std::string::npos) << text;
}

TEST(Spawn, DescriptorsMayAlreadyHaveTheTargetsNumbers) {
  const UniqueFd a = Open("/dev/null", O_RDONLY).value();
  const UniqueFd b = Open("/dev/zero", O_RDONLY).value();
  // Crossed on purpose: a naive dup2 would overwrite one descriptor with the other.
  Command command{.argv = {"sh", "-c", "readlink /proc/$$/fd/3; readlink /proc/$$/fd/4"}};
  command.extra_fds = {std::max(a.get(), b.get()), std::min(a.get(), b.get())};
  const bool crossed = a.get() < b.get();
  EXPECT_EQ(OutputOf(std::move(command)), crossed ? "/dev/zero\n/dev/null\n" : "/dev/null\n/dev/zero\n");
}

TEST(Spawn, CredentialsLeaveNoCapability) {
  Command command{.argv = {"grep", "-E", "^(Uid|CapEff)", "/proc/self/status"}};
  command.credentials = Command::Credentials{4242, 4243, {}};
  const std::string text = OutputOf(std::move(command));
  EXPECT_NE(text.find("Uid:\t4242\t4242\t4242\t4242"), std::string::npos) << text;
  EXPECT_NE(text.find("CapEff:\t0000000000000000"), std::string::npos) << text;
}

TEST(Spawn, RootWithCredentialsHasNoCapabilityEither) {
  // As root of a user namespace is, for whom there may be no other id.
  Command command{.argv = {"grep", "-E", "^(Uid|CapEff|CapBnd)", "/proc/self/status"}};
  command.credentials = Command::Credentials{0, 0, std::nullopt};
  EXPECT_EQ(OutputOf(std::move(command)), "Uid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n");
}

TEST(Spawn, GroupsThatAreNotNamedStay) {
  Command command{.argv = {"id", "-G"}};
  command.credentials = Command::Credentials{4242, 4243, std::nullopt};
  auto child = Fork({.fds = {-1, STDOUT_FILENO, STDERR_FILENO}}, [&command] {
    const gid_t groups[] = {4711};
    _exit(setgroups(1, groups) == 0 && OutputOf(std::move(command)) == "4243 4711\n" ? 0 : 1);
  });
  ASSERT_TRUE(child);
  EXPECT_EQ(child->Wait()->Shell(), 0);
}

TEST(Spawn, ChildMayBeTheFirstProcessOfAPidNamespace) {
  Command command{.argv = {"sh", "-c", "echo $$"}};
  command.new_pid_namespace = true;
  command.die_with_parent = false;
  EXPECT_EQ(OutputOf(std::move(command)), "1\n");
}

TEST(Spawn, ChildDiesWithItsParentAlsoAsAnotherUser) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t parent = fork();
  if (parent == 0) {
    Command command{.argv = {"sleep", "1000"}};
    command.credentials = Command::Credentials{4242, 4243, {}};
    command.extra_fds = {write_end.get()};
    auto child = Spawn(command);
    if (!child) _exit(1);
    kill(getpid(), SIGKILL);
  }
  write_end.Reset();
  waitpid(parent, nullptr, 0);
  // The pipe's end comes when the last holder of its write end, the grandchild, is gone.
  pollfd waiting{read_end.get(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 20000), 1);
  EXPECT_EQ(ReadAll(read_end.get()).value(), "");
}

TEST(Fork, ChildHasOnlyItsDescriptorsAndMayAllocate) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const UniqueFd leak = Open("/dev/zero", O_RDONLY).value();
  signal(SIGUSR1, SIG_IGN);
  auto child = Fork({.fds = {-1, write_end.get(), -1, leak.get(), write_end.get()}}, [] {
    std::string text;
    for (int fd = 0; fd < 64; ++fd) {
      const int flags = fcntl(fd, F_GETFD);
      if (flags >= 0) text += fmt::format("{}{} ", fd, (flags & FD_CLOEXEC) != 0 ? "c" : "");
    }
    (void)WriteAll(4, text + (signal(SIGUSR1, SIG_IGN) == SIG_DFL ? "default" : "kept"));
  });
  signal(SIGUSR1, SIG_DFL);
  ASSERT_TRUE(child) << child.error().message();
  write_end.Reset();
  EXPECT_EQ(ReadAll(read_end.get()).value(), "0 1 2 3c 4c default");
  EXPECT_EQ(child->Wait()->code, 1);
}

TEST(OpenPidfd, TellsOfTheEnd) {
  auto child = Spawn({.argv = {"sleep", "1000"}});
  ASSERT_TRUE(child);
  const pid_t pid = child->pid();
  const auto pidfd = OpenPidfd(pid);
  ASSERT_TRUE(pidfd) << pidfd.error().message();
  pollfd ended = {pidfd->get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 0), 0);
  child->End();
  EXPECT_EQ(poll(&ended, 1, -1), 1);
  EXPECT_EQ(OpenPidfd(pid).error().code(), Code::kNotFound);
}

TEST(Child, DestructorKillsAndReaps) {
  pid_t pid = 0;
  {
    auto child = Spawn({.argv = {"sleep", "1000"}});
    ASSERT_TRUE(child);
    pid = child->pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

}  // namespace
}  // namespace kata
