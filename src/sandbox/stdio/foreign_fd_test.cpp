// SPDX-License-Identifier: Apache-2.0
// Uses real pipes, terminals, sockets and files. The open file descriptions of all of them must stay blocking.
#include "sandbox/stdio/foreign_fd.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/stat.h>
#include <termios.h>

#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

using testing::Pipe;
using testing::ReadAvailable;
using testing::SocketPair;

class ForeignFdTest : public testing::LoopTest {
 protected:
  using Direction = ForeignFd::Direction;

  std::shared_ptr<ForeignFd> Give(int fd, Direction direction) {
    auto foreign = ForeignFd::Open(io_.get_executor(), UniqueFd(dup(fd)), direction);
    EXPECT_TRUE(foreign) << foreign.error().message();
    return *foreign;
  }
  Result<> Write(const std::shared_ptr<ForeignFd>& foreign, std::string data) {
    written_ = 0;
    ForeignFd::Progress progress = [this](size_t count) { written_ += count; };
    return Await(foreign->Write(std::move(data), progress));
  }
  static bool IsBlocking(int fd) { return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

  // Writes far more than fits while the other end is read slowly.
  void ExpectAllArrives(int write_end, int read_end) {
    auto foreign = Give(write_end, Direction::kWrite);
    std::string data(300000, 'x');
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>('a' + i % 23);
    std::string got;
    std::optional<Result<>> done;
    ForeignFd::Progress progress = [](size_t) {};
    asio::co_spawn(io_, foreign->Write(data, progress), [&](std::exception_ptr, Result<> result) { done = result; });
    RunUntil([&] {
      got += ReadAvailable(read_end);
      return done.has_value();
    });
    got += ReadAvailable(read_end);
    EXPECT_TRUE(*done);
    EXPECT_EQ(got.size(), data.size());
    EXPECT_TRUE(got == data);
    EXPECT_TRUE(IsBlocking(write_end));
  }

  size_t written_ = 0;
};

TEST_F(ForeignFdTest, PipesAreWrittenWithoutMakingThemNonBlocking) {
  auto pipe = Pipe();
  ExpectAllArrives(pipe.second.get(), pipe.first.get());
}

TEST_F(ForeignFdTest, SocketsAreWrittenWithoutMakingThemNonBlocking) {
  auto pair = SocketPair();
  ExpectAllArrives(pair.first.get(), pair.second.get());
}

TEST_F(ForeignFdTest, NamedPipesAreWritten) {
  testing::TempDir dir;
  std::string path = dir.path() + "/fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  UniqueFd reader(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  UniqueFd writer(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ExpectAllArrives(writer.get(), reader.get());
}

TEST_F(ForeignFdTest, TerminalsAreWrittenWithoutMakingThemNonBlocking) {
  int master = -1;
  int slave = -1;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  UniqueFd own_master(master);
  UniqueFd own_slave(slave);
  termios raw{};
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  ExpectAllArrives(slave, master);
  // A master cannot be opened again: that would make another terminal.
  ExpectAllArrives(master, slave);
}

TEST_F(ForeignFdTest, FilesAreWritten) {
  testing::TempDir dir;
  UniqueFd file(open((dir.path() + "/f").c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  EXPECT_TRUE(Write(Give(file.get(), Direction::kWrite), "one"));
  EXPECT_TRUE(Write(Give(file.get(), Direction::kWrite), "two"));
  EXPECT_EQ(*ReadFile(dir.path() + "/f"), "onetwo");
  EXPECT_EQ(written_, 3U);
}

TEST_F(ForeignFdTest, AFullDiskIsAnErrorAndNoHang) {
  UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  auto written = Write(Give(full.get(), Direction::kWrite), "x");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().sys(), ENOSPC);
}

TEST_F(ForeignFdTest, AReaderThatHasGoneIsUnavailable) {
  auto pipe = Pipe();
  auto foreign = Give(pipe.second.get(), Direction::kWrite);
  pipe.first.Reset();
  EXPECT_EQ(Write(foreign, "x").error().code(), Code::kUnavailable);
  auto pair = SocketPair();
  auto socket = Give(pair.first.get(), Direction::kWrite);
  pair.second.Reset();
  EXPECT_EQ(Write(socket, "x").error().code(), Code::kUnavailable);
}

TEST_F(ForeignFdTest, AReaderThatGoesWhileItIsWaitedForIsUnavailable) {
  auto pipe = Pipe();
  auto foreign = Give(pipe.second.get(), Direction::kWrite);
  std::optional<Result<>> done;
  size_t progress = 0;
  ForeignFd::Progress count = [&](size_t bytes) { progress += bytes; };
  asio::co_spawn(io_, foreign->Write(std::string(1 << 20, 'x'), count),
                 [&](std::exception_ptr, Result<> result) { done = result; });
  RunUntil([&] { return progress > 0; });
  EXPECT_FALSE(done);
  pipe.first.Reset();
  RunUntil([&] { return done.has_value(); });
  EXPECT_EQ(done->error().code(), Code::kUnavailable);
}

TEST_F(ForeignFdTest, CancelEndsAWriteThatNobodyReads) {
  auto pipe = Pipe();
  auto foreign = Give(pipe.second.get(), Direction::kWrite);
  std::optional<Result<>> done;
  size_t progress = 0;
  ForeignFd::Progress count = [&](size_t bytes) { progress += bytes; };
  asio::co_spawn(io_, foreign->Write(std::string(1 << 20, 'x'), count),
                 [&](std::exception_ptr, Result<> result) { done = result; });
  RunUntil([&] { return progress > 0; });
  foreign->Cancel();
  RunUntil([&] { return done.has_value(); });
  EXPECT_EQ(done->error().code(), Code::kCancelled);
}

TEST_F(ForeignFdTest, ReadsPipesSocketsFilesAndNull) {
  auto pipe = Pipe();
  ASSERT_TRUE(WriteAll(pipe.second.get(), "from a pipe"));
  auto foreign = Give(pipe.first.get(), Direction::kRead);
  EXPECT_EQ(*Await(foreign->Read(1000)), "from a pipe");
  EXPECT_TRUE(IsBlocking(pipe.first.get()));
  pipe.second.Reset();
  EXPECT_EQ(*Await(foreign->Read(1000)), "");

  auto pair = SocketPair();
  ASSERT_TRUE(WriteAll(pair.second.get(), "from a socket"));
  EXPECT_EQ(*Await(Give(pair.first.get(), Direction::kRead)->Read(4)), "from");
  EXPECT_TRUE(IsBlocking(pair.first.get()));

  testing::TempDir dir;
  UniqueFd file(open(dir.Write("f", "from a file").c_str(), O_RDONLY | O_CLOEXEC));
  auto of_file = Give(file.get(), Direction::kRead);
  EXPECT_EQ(*Await(of_file->Read(1000)), "from a file");
  EXPECT_EQ(*Await(of_file->Read(1000)), "");

  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(*Await(Give(null.get(), Direction::kRead)->Read(1000)), "");
}

TEST_F(ForeignFdTest, ReadWaitsUntilThereIsSomething) {
  auto pipe = Pipe();
  auto foreign = Give(pipe.first.get(), Direction::kRead);
  std::optional<Result<std::string>> got;
  asio::co_spawn(io_, foreign->Read(10), [&](std::exception_ptr, Result<std::string> result) { got = result; });
  for (int turn = 0; turn < 10; ++turn) io_.poll();
  EXPECT_FALSE(got);
  ASSERT_TRUE(WriteAll(pipe.second.get(), "now"));
  RunUntil([&] { return got.has_value(); });
  EXPECT_EQ(**got, "now");
}

TEST_F(ForeignFdTest, ATerminalThatIsHungUpEnds) {
  int master = -1;
  int slave = -1;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  UniqueFd own_master(master);
  UniqueFd own_slave(slave);
  auto reader = Give(slave, Direction::kRead);
  auto writer = Give(slave, Direction::kWrite);
  EXPECT_FALSE(reader->HungUp());
  own_master.Reset();
  EXPECT_EQ(*Await(reader->Read(10)), "");
  EXPECT_TRUE(reader->HungUp());
  EXPECT_EQ(Write(writer, "x").error().code(), Code::kUnavailable);
}

TEST_F(ForeignFdTest, TheEndOfAPipeIsNoHangUp) {
  auto pipe = Pipe();
  auto reader = Give(pipe.first.get(), Direction::kRead);
  pipe.second.Reset();
  EXPECT_EQ(*Await(reader->Read(10)), "");
  EXPECT_FALSE(reader->HungUp());
}

TEST_F(ForeignFdTest, CancelEndsARead) {
  auto pipe = Pipe();
  auto foreign = Give(pipe.first.get(), Direction::kRead);
  std::optional<Result<std::string>> got;
  asio::co_spawn(io_, foreign->Read(10), [&](std::exception_ptr, Result<std::string> result) { got = result; });
  io_.poll();
  foreign->Cancel();
  RunUntil([&] { return got.has_value(); });
  EXPECT_EQ(got->error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace kata::sandbox
