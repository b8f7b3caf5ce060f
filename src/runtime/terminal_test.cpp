// SPDX-License-Identifier: Apache-2.0
#include "runtime/terminal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "rpc/unix_socket.h"

namespace kata::runtime {
namespace {

TEST(Terminal, PtyIsRawAndHasItsSize) {
  auto pty = OpenPty(24, 80);
  ASSERT_TRUE(pty) << pty.error().message();
  const auto size = WindowSize(pty->slave.get());
  ASSERT_TRUE(size);
  EXPECT_EQ(size->ws_row, 24);
  EXPECT_EQ(size->ws_col, 80);
  termios modes{};
  ASSERT_EQ(tcgetattr(pty->slave.get(), &modes), 0);
  EXPECT_EQ(modes.c_lflag & (ECHO | ICANON | ISIG), 0U);
  EXPECT_EQ(modes.c_oflag & OPOST, 0U);
  EXPECT_TRUE(pty->name.starts_with("/dev/pts/"));
}

TEST(Terminal, UnknownSizeIsNone) {
  auto pty = OpenPty(0, 0);
  ASSERT_TRUE(pty);
  EXPECT_FALSE(WindowSize(pty->slave.get()));
}

// Does the same as conmon and containerd: accepts, and receives one descriptor with a name.
TEST(Terminal, ConsoleSocketGetsTheMaster) {
  std::string dir = "/tmp/kata-console-XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  // Longer than sun_path.
  const std::string deep = dir + "/" + std::string(100, 'd') + "/" + std::string(100, 'e');
  std::filesystem::create_directories(deep);
  auto directory = Open(deep, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(directory);
  auto listener = rpc::ListenUnix(directory->get(), "console.sock");
  ASSERT_TRUE(listener) << listener.error().message();

  auto pty = OpenPty(10, 20);
  ASSERT_TRUE(pty);
  auto sent = SendToConsoleSocket(deep + "/console.sock", *pty);
  ASSERT_TRUE(sent) << sent.error().message();
  const UniqueFd peer(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(peer);
  std::array<char, 64> name{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec data{.iov_base = name.data(), .iov_len = name.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC);
  ASSERT_GT(length, 0);
  EXPECT_EQ(std::string(name.data(), static_cast<size_t>(length)), pty->name);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  ASSERT_NE(header, nullptr);
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  const UniqueFd master(fd);
  ASSERT_EQ(write(pty->slave.get(), "out", 3), 3);
  std::array<char, 8> text{};
  EXPECT_EQ(read(master.get(), text.data(), text.size()), 3);
  ASSERT_TRUE(RemoveTree(dir));
}

TEST(Terminal, ConsoleSocketThatIsNotThere) {
  auto pty = OpenPty(0, 0);
  ASSERT_TRUE(pty);
  auto sent = SendToConsoleSocket("/tmp/kata-nobody-listens.sock", *pty);
  ASSERT_FALSE(sent);
  EXPECT_THAT(sent.error().message(), testing::HasSubstr("/tmp/kata-nobody-listens.sock"));
}

// Runs in a process of its own, without a terminal among its standard descriptors; `tty`: with it as controlling one.
int FindInChild(const Pty* tty) {
  const pid_t pid = fork();
  if (pid == 0) {
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {0, 1, 2}) dup2(null.get(), fd);
    setsid();
    if (tty != nullptr && ioctl(tty->slave.get(), TIOCSCTTY, 0) != 0) _exit(2);
    const auto own = FindOwnTerminal();
    if (!own) _exit(own.error().sys() == ENXIO && own.error().message().starts_with("open /dev/tty: ") ? 1 : 3);
    const auto size = WindowSize(own->fd);
    _exit(size && size->ws_col == 101 ? 0 : 4);
  }
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WEXITSTATUS(status);
}

TEST(Terminal, TheControllingOneIsTakenWhereNoDescriptorIsOne) {
  auto pty = OpenPty(33, 101);
  ASSERT_TRUE(pty);
  EXPECT_EQ(FindInChild(&*pty), 0);
  EXPECT_EQ(FindInChild(nullptr), 1) << "runc's error";
}

class RawTerminalTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pty = OpenPty(1, 1);
    ASSERT_TRUE(pty);
    pty_ = std::move(*pty);
    ASSERT_EQ(tcgetattr(pty_.slave.get(), &cooked_), 0);
    cooked_.c_lflag |= ECHO | ICANON | ISIG;
    ASSERT_EQ(tcsetattr(pty_.slave.get(), TCSANOW, &cooked_), 0);
  }
  bool Raw() {
    termios now{};
    EXPECT_EQ(tcgetattr(pty_.slave.get(), &now), 0);
    return (now.c_lflag & (ECHO | ICANON | ISIG)) == 0;
  }
  Pty pty_;
  termios cooked_{};
};

TEST_F(RawTerminalTest, IsPutBack) {
  {
    auto raw = RawTerminal::Enter(pty_.slave.get());
    ASSERT_TRUE(raw);
    EXPECT_TRUE(Raw());
  }
  EXPECT_FALSE(Raw());
}

TEST_F(RawTerminalTest, IsPutBackByAFault) {
  const pid_t pid = fork();
  if (pid == 0) {
    auto raw = RawTerminal::Enter(pty_.slave.get());
    raise(raw && Raw() ? SIGSEGV : SIGKILL);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  EXPECT_FALSE(Raw());
}

}  // namespace
}  // namespace kata::runtime
