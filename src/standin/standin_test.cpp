// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <fstream>

#include "base/child.h"

namespace kata {
namespace {

// A stand-in with the other end of its connection.
struct Standin {
  Child child;
  UniqueFd connection;

  // The next packet; empty at the end of the stream. Waits as long as it takes: ctest bounds the whole test.
  std::string Receive() {
    std::array<char, 1024> packet{};
    const ssize_t length = recv(connection.get(), packet.data(), packet.size(), 0);
    return length > 0 ? std::string(packet.data(), static_cast<size_t>(length)) : std::string();
  }
  // The first packet, with the descriptors that came with it.
  template <size_t count>
  std::string ReceiveHello(std::array<UniqueFd, count>& stdio) {
    std::array<char, 1024> packet{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
    iovec data{.iov_base = packet.data(), .iov_len = packet.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t length = recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (length <= 0 || header == nullptr || header->cmsg_len != CMSG_LEN(count * sizeof(int))) return "";
    std::array<int, count> fds{};
    memcpy(fds.data(), CMSG_DATA(header), sizeof fds);
    for (size_t i = 0; i < count; ++i) stdio[i].Reset(fds[i]);
    return std::string(packet.data(), static_cast<size_t>(length));
  }
  void Send(const std::string& packet) {
    ASSERT_EQ(send(connection.get(), packet.data(), packet.size(), MSG_NOSIGNAL), static_cast<ssize_t>(packet.size()));
  }
};

Standin Start(std::vector<std::string> arguments, int terminal = -1) {
  std::array<int, 2> pair{};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd theirs(pair[1]);
  Standin standin;
  standin.connection = UniqueFd(pair[0]);
  Command command;
  command.argv = {KATA_STANDIN};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.stdin_fd = command.stdout_fd = command.stderr_fd = terminal;
  command.extra_fds = {theirs.get()};
  command.new_session = true;
  auto child = Spawn(command);
  EXPECT_TRUE(child) << child.error().message();
  standin.child = std::move(*child);
  // After its first packet its signals are blocked; before, they would have their default actions.
  std::array<UniqueFd, 3> stdio;
  std::string hello = fmt::format("H {}", standin.child.pid());
  for (const std::string& argument : arguments) {
    if (argument != "--terminal") hello += " " + argument;
  }
  EXPECT_EQ(standin.ReceiveHello(stdio), hello);
  return standin;
}

TEST(Standin, HandsOverItsStdio) {
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe2(pipe_ends.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd theirs(pair[1]);
  Standin standin;
  standin.connection = UniqueFd(pair[0]);
  Command command;
  command.argv = {KATA_STANDIN, "c1", "exec1"};
  command.stdout_fd = write_end.get();
  command.extra_fds = {theirs.get()};
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  standin.child = std::move(*child);
  std::array<UniqueFd, 3> stdio;
  EXPECT_EQ(standin.ReceiveHello(stdio), fmt::format("H {} c1 exec1", standin.child.pid()));
  ASSERT_EQ(write(stdio[1].get(), "x", 1), 1);
  char got = 0;
  ASSERT_EQ(read(read_end.get(), &got, 1), 1);
  EXPECT_EQ(got, 'x');
}

// Whether a process has the other end of a pipe open.
bool IsHeld(int end) {
  pollfd state{.fd = end, .events = 0, .revents = 0};
  return poll(&state, 1, 0) == 0;
}

TEST(Standin, HoldsNothingOfItsCallersAfterTheHandOver) {
  std::array<int, 2> in{}, out{}, err{}, end{}, pair{};
  for (auto* pipe_ends : {&in, &out, &err, &end}) ASSERT_EQ(pipe2(pipe_ends->data(), O_CLOEXEC), 0);
  const UniqueFd in_write(in[1]), out_read(out[0]), err_read(err[0]), end_read(end[0]);
  UniqueFd in_read(in[0]), out_write(out[1]), err_write(err[1]), end_write(end[1]);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  UniqueFd theirs(pair[1]);
  Standin standin;
  standin.connection = UniqueFd(pair[0]);
  Command command;
  command.argv = {KATA_STANDIN, "c1"};
  command.stdin_fd = in_read.get();
  command.stdout_fd = out_write.get();
  command.stderr_fd = err_write.get();
  command.extra_fds = {theirs.get(), end_write.get()};
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  standin.child = std::move(*child);
  for (UniqueFd* fd : {&in_read, &out_write, &err_write, &end_write, &theirs}) fd->Reset();
  {
    std::array<UniqueFd, 4> handed_over;
    EXPECT_EQ(standin.ReceiveHello(handed_over), fmt::format("H {} c1", standin.child.pid()));
    ASSERT_EQ(write(handed_over[1].get(), "x", 1), 1);
    char got = 0;
    ASSERT_EQ(read(out_read.get(), &got, 1), 1);
    EXPECT_TRUE(IsHeld(end_read.get()));
  }
  // The stand-in forwards this signal only after it has closed them.
  ASSERT_TRUE(standin.child.Signal(SIGUSR1));
  EXPECT_EQ(standin.Receive(), "S 10");
  for (const int fd : {in_write.get(), out_read.get(), err_read.get(), end_read.get()}) EXPECT_FALSE(IsHeld(fd));
  standin.Send("X 0");
  ASSERT_TRUE(standin.child.Wait());
}

TEST(Standin, ExitsWithTheStatusItIsTold) {
  for (const int status : {0, 1, 42, 137, 255}) {
    Standin standin = Start({"c1"});
    standin.Send("X " + std::to_string(status));
    auto end = standin.child.Wait();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->signal, 0);
    EXPECT_EQ(end->code, status);
  }
}

TEST(Standin, ExitsWith137WhenTheSandboxProcessHasGone) {
  Standin standin = Start({"c1"});
  standin.connection.Reset();
  auto end = standin.child.Wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 137);
}

TEST(Standin, PassesEverySignalOnThatCanBeCaught) {
  Standin standin = Start({"c1"});
  for (int signal = 1; signal <= 64; ++signal) {
    // 32 and 33 are reserved by the C library.
    if (signal == SIGKILL || signal == SIGSTOP || signal == 32 || signal == 33) continue;
    ASSERT_TRUE(standin.child.Signal(signal));
    EXPECT_EQ(standin.Receive(), "S " + std::to_string(signal));
  }
  standin.Send("X 0");
  ASSERT_TRUE(standin.child.Wait());
}

TEST(Standin, KeepsASignalThatCameBeforeTheStatus) {
  Standin standin = Start({"c1"});
  // While it is stopped both arrive; it finds them pending when it continues.
  ASSERT_TRUE(standin.child.Signal(SIGSTOP));
  ASSERT_TRUE(standin.child.Signal(SIGTERM));
  standin.Send("X 7");
  ASSERT_TRUE(standin.child.Signal(SIGCONT));
  EXPECT_EQ(standin.Receive(), "S 15");
  auto end = standin.child.Wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 7);
}

TEST(Standin, EndOfStreamTellsThatItWasKilled) {
  Standin standin = Start({"c1"});
  ASSERT_TRUE(standin.child.Signal(SIGKILL));
  EXPECT_EQ(standin.Receive(), "");
}

TEST(Standin, IgnoresPacketsItDoesNotKnow) {
  Standin standin = Start({"c1"});
  standin.Send("Y 3");
  standin.Send("X");
  standin.Send(std::string(1000, 'z'));
  standin.Send("X 5");
  auto end = standin.child.Wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 5);
}

TEST(Standin, TellsTheSizeOfItsTerminal) {
  const UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master);
  ASSERT_EQ(unlockpt(master.get()), 0);
  const UniqueFd slave(open(ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(slave);
  const winsize first{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(ioctl(master.get(), TIOCSWINSZ, &first), 0);

  Standin standin = Start({"--terminal", "c1"}, slave.get());
  EXPECT_EQ(standin.Receive(), "W 24 80");
  const winsize second{.ws_row = 50, .ws_col = 132, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(ioctl(master.get(), TIOCSWINSZ, &second), 0);
  EXPECT_EQ(standin.Receive(), "W 50 132");
  standin.Send("X 0");
  ASSERT_TRUE(standin.child.Wait());
}

TEST(Standin, HangupOfTheTerminalIsPassedOn) {
  UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master);
  ASSERT_EQ(unlockpt(master.get()), 0);
  UniqueFd slave(open(ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  const winsize size{.ws_row = 1, .ws_col = 1, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(ioctl(master.get(), TIOCSWINSZ, &size), 0);
  Standin standin = Start({"--terminal", "c1"}, slave.get());
  EXPECT_EQ(standin.Receive(), "W 1 1");
  master.Reset();
  EXPECT_EQ(standin.Receive(), "S 1");
  standin.Send("X 129");
  auto end = standin.child.Wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 129);
}

TEST(Standin, TakesLittleMemory) {
  Standin standin = Start({"c1"});
  std::ifstream rollup("/proc/" + std::to_string(standin.child.pid()) + "/smaps_rollup");
  std::string word;
  uint64_t kib = 0;
  int found = 0;
  while (rollup >> word) {
    if (word == "Private_Clean:" || word == "Private_Dirty:") {
      uint64_t value = 0;
      rollup >> value;
      kib += value;
      ++found;
    }
  }
  ASSERT_EQ(found, 2);
  RecordProperty("private_kib", static_cast<int>(kib));
  EXPECT_LE(kib, 1024U);
}

TEST(Standin, RefusesToRunWithoutAnId) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd ours(pair[0]), theirs(pair[1]);
  Command command;
  command.argv = {KATA_STANDIN};
  command.extra_fds = {theirs.get()};
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  auto end = child->Wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2);
}

TEST(Standin, RefusesToRunWithoutAConnection) {
  Command command;
  command.argv = {KATA_STANDIN, "c1"};
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  auto end = child->Wait();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2);
}

}  // namespace
}  // namespace kata
