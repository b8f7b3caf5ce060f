// SPDX-License-Identifier: Apache-2.0
#include "agent/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/event_loop_test.h"
#include "agent/payload_test.h"
#include "base/files.h"

namespace kata::agent {
namespace {

struct PipeEnds {
  UniqueFd read;
  UniqueFd write;
};

PipeEnds MakePipeEnds() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

bool PeerClosed(int fd) {
  pollfd state{fd, POLLOUT, 0};
  return poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

class StreamTest : public EventLoopTest {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }

  std::shared_ptr<OutputStream> Output(UniqueFd fd) {
    auto stream = OutputStream::Create(executor(), std::move(fd));
    EXPECT_TRUE(stream);
    return *stream;
  }
  std::shared_ptr<InputStream> Input(UniqueFd fd, bool terminal = false) {
    auto stream = InputStream::Create(executor(), std::move(fd), terminal);
    EXPECT_TRUE(stream);
    return *stream;
  }
  std::string Read(OutputStream& stream, size_t length = kMaxRead) {
    auto data = Run(stream.Read(length));
    EXPECT_TRUE(data);
    return data ? Text(*std::move(data)) : "";
  }
};

TEST_F(StreamTest, BinaryDataArrivesAsItIs) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  std::string all;
  for (int i = 0; i < 1024; ++i) all += static_cast<char>(i);
  ASSERT_TRUE(WriteAll(pipe.write.get(), all));
  EXPECT_EQ(Read(*stream), all);
  ASSERT_TRUE(WriteAll(pipe.write.get(), all));
  EXPECT_EQ(Read(*stream, 10), all.substr(0, 10));
  EXPECT_EQ(Read(*stream, SIZE_MAX), all.substr(10));
}

TEST_F(StreamTest, LargeReadsAreBounded) {
  auto pipe = MakePipeEnds();
  ASSERT_GE(fcntl(pipe.write.get(), F_SETPIPE_SZ, 1 << 20), 1 << 20);
  auto stream = Output(std::move(pipe.read));
  ASSERT_TRUE(WriteAll(pipe.write.get(), std::string(600000, 'x')));
  EXPECT_EQ(Read(*stream, UINT32_MAX).size(), kMaxRead);
  EXPECT_EQ(Read(*stream, UINT32_MAX).size(), kMaxRead);
  EXPECT_EQ(Read(*stream, UINT32_MAX).size(), 600000 - 2 * kMaxRead);
}

TEST_F(StreamTest, WhatHasBeenReadCannotBeTakenAnyMore) {
  auto pipe = MakePipeEnds();
  UniqueFd thief(fcntl(pipe.read.get(), F_DUPFD_CLOEXEC, 0));
  auto stream = Output(std::move(pipe.read));
  const std::string all = std::string(30000, 'a') + std::string(30000, 'b');
  ASSERT_TRUE(WriteAll(pipe.write.get(), all));
  auto first = Run(stream->Read(50000));
  ASSERT_TRUE(first);
  std::string stolen(all.size(), '\0');
  EXPECT_EQ(read(thief.get(), stolen.data(), stolen.size()), 10000);
  EXPECT_EQ(Text(*std::move(first)), all.substr(0, 50000));
}

TEST_F(StreamTest, WaitsForDataAndForTheEnd) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  std::optional<Result<OutputStream::Piece>> data;
  Start(stream->Read(100), data);
  RunReady();
  EXPECT_FALSE(data);
  ASSERT_TRUE(WriteAll(pipe.write.get(), "late"));
  RunUntil([&] { return data.has_value(); });
  EXPECT_EQ(Text(**std::move(data)), "late");
  data.reset();
  Start(stream->Read(100), data);
  RunReady();
  EXPECT_FALSE(data);
  pipe.write.Reset();
  RunUntil([&] { return data.has_value(); });
  EXPECT_EQ(Text(**std::move(data)), "");
  EXPECT_TRUE(stream->finished());
  EXPECT_EQ(Read(*stream), "") << "the end stays the end";
}

TEST_F(StreamTest, AnExitedProcessEndsTheStreamOnceItIsEmpty) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  ASSERT_TRUE(WriteAll(pipe.write.get(), "last words"));
  stream->OnExit();
  EXPECT_EQ(Read(*stream), "last words");
  EXPECT_FALSE(stream->finished());
  // The write end is still open, as if a daemon had it.
  EXPECT_EQ(Read(*stream), "");
  EXPECT_TRUE(stream->finished());
}

TEST_F(StreamTest, ExitWakesAReaderThatWaits) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  std::optional<Result<OutputStream::Piece>> data;
  Start(stream->Read(100), data);
  RunReady();
  EXPECT_FALSE(data);
  stream->OnExit();
  RunUntil([&] { return data.has_value(); });
  EXPECT_EQ(Text(**std::move(data)), "");
}

TEST_F(StreamTest, ADaemonThatWritesAfterTheEndIsDrained) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  stream->OnExit();
  EXPECT_EQ(Read(*stream), "");
  // More than a pipe holds: without a reader these writes could never all succeed.
  ASSERT_GE(fcntl(pipe.write.get(), F_SETFL, O_NONBLOCK), 0);
  size_t written = 0;
  const std::string chunk(4096, 'x');
  RunUntil([&] {
    ssize_t count = 0;
    while ((count = write(pipe.write.get(), chunk.data(), chunk.size())) > 0) written += static_cast<size_t>(count);
    EXPECT_EQ(errno, EAGAIN);
    RunReady();
    return written > (1U << 20U);
  });
  EXPECT_FALSE(PeerClosed(pipe.write.get()));
  pipe.write.Reset();
  RunReady();
}

TEST_F(StreamTest, WhatOthersWriteAfterTheExitArrivesWhereItIsWanted) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  ASSERT_TRUE(WriteAll(pipe.write.get(), "last words"));
  stream->OnExit();
  auto piece = Run(stream->Read(kMaxRead, true));
  ASSERT_TRUE(piece);
  EXPECT_FALSE(piece->held) << "first what the process itself has written";
  EXPECT_EQ(Text(*std::move(piece)), "last words");
  piece = Run(stream->Read(kMaxRead, true));
  ASSERT_TRUE(piece);
  EXPECT_TRUE(piece->held);
  EXPECT_EQ(piece->data.size(), 0U);
  EXPECT_FALSE(stream->finished());
  // `held` is returned once; later reads return data or the end.
  std::optional<Result<OutputStream::Piece>> late;
  Start(stream->Read(kMaxRead, true), late);
  RunReady();
  EXPECT_FALSE(late);
  ASSERT_TRUE(WriteAll(pipe.write.get(), "late"));
  RunUntil([&] { return late.has_value(); });
  EXPECT_EQ(Text(**std::move(late)), "late");
  pipe.write.Reset();
  piece = Run(stream->Read(kMaxRead, true));
  ASSERT_TRUE(piece);
  EXPECT_FALSE(piece->held);
  EXPECT_EQ(piece->data.size(), 0U);
  EXPECT_TRUE(stream->finished());
}

TEST_F(StreamTest, TheExitIsSaidToAReaderThatWaits) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  std::optional<Result<OutputStream::Piece>> piece;
  Start(stream->Read(100, true), piece);
  RunReady();
  EXPECT_FALSE(piece);
  stream->OnExit();
  RunUntil([&] { return piece.has_value(); });
  ASSERT_TRUE(*piece);
  EXPECT_TRUE((*piece)->held);
}

TEST_F(StreamTest, LengthZeroClosesSoThatTheWriterGetsSigpipe) {
  auto pipe = MakePipeEnds();
  auto stream = Output(std::move(pipe.read));
  std::optional<Result<OutputStream::Piece>> waiting;
  Start(stream->Read(100), waiting);
  RunReady();
  EXPECT_EQ(Read(*stream, 0), "");
  RunUntil([&] { return waiting.has_value(); });
  EXPECT_EQ(Text(**std::move(waiting)), "") << "whoever still waited is told the end";
  EXPECT_EQ(write(pipe.write.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_TRUE(stream->finished());
  stream->OnExit();
}

TEST_F(StreamTest, WritesWaitForTheReaderAndKeepTheirOrder) {
  auto pipe = MakePipeEnds();
  auto stream = Input(std::move(pipe.write));
  const std::string first(300000, '1');
  const std::string second(300000, '2');
  std::optional<Result<>> one;
  std::optional<Result<>> two;
  Start(stream->Write(first), one);
  Start(stream->Write(second), two);
  RunReady();
  EXPECT_FALSE(one || two);
  stream->Close();
  ASSERT_GE(fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK), 0);
  std::string got;
  bool end = false;
  RunUntil([&] {
    char buffer[8192];
    ssize_t count = 0;
    while ((count = read(pipe.read.get(), buffer, sizeof buffer)) > 0) got.append(buffer, static_cast<size_t>(count));
    end = count == 0;
    RunReady();
    return end;
  });
  EXPECT_TRUE(one && *one && two && *two);
  EXPECT_EQ(got, first + second) << "Close comes after what was being written";
  EXPECT_EQ(Run(stream->Write("more")).error().code(), Code::kFailedPrecondition);
}

TEST_F(StreamTest, AnExitSendsWritersHome) {
  auto pipe = MakePipeEnds();
  auto stream = Input(std::move(pipe.write));
  std::optional<Result<>> one;
  std::optional<Result<>> two;
  Start(stream->Write(std::string(1 << 20, 'x')), one);
  Start(stream->Write("y"), two);
  RunReady();
  EXPECT_FALSE(one || two);
  stream->OnExit();
  RunUntil([&] { return one && two; });
  EXPECT_EQ((*one).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ((*two).error().code(), Code::kFailedPrecondition);
  stream->Close();
  stream->Close();
  stream->OnExit();
  EXPECT_EQ(Run(stream->Write("z")).error().code(), Code::kFailedPrecondition);
}

TEST_F(StreamTest, AClosedStdinIsAnError) {
  auto pipe = MakePipeEnds();
  auto stream = Input(std::move(pipe.write));
  pipe.read.Reset();
  EXPECT_EQ(Run(stream->Write("x")).error().code(), Code::kFailedPrecondition);
}

TEST_F(StreamTest, TheEndOfTheReaderOfStdinIsNoticed) {
  auto pipe = MakePipeEnds();
  auto stream = Input(std::move(pipe.write));
  std::optional<Result<>> closed;
  Start(stream->AwaitClosed(), closed);
  ASSERT_TRUE(Run(stream->Write("x")));
  char got = 0;
  ASSERT_EQ(read(pipe.read.get(), &got, 1), 1);
  RunReady();
  EXPECT_FALSE(closed) << "it is read, and written to";
  pipe.read.Reset();
  RunUntil([&] { return closed.has_value(); });
  EXPECT_TRUE(*closed);
  EXPECT_EQ(Run(stream->Write("y")).error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(Run(stream->AwaitClosed())) << "and later it is known at once";
}

TEST_F(StreamTest, AReaderOfStdinThatHasGoneAlready) {
  auto pipe = MakePipeEnds();
  auto stream = Input(std::move(pipe.write));
  pipe.read.Reset();
  EXPECT_TRUE(Run(stream->AwaitClosed()));
}

TEST_F(StreamTest, AnExitEndsTheWaitForTheReaderOfStdin) {
  auto pipe = MakePipeEnds();
  auto stream = Input(std::move(pipe.write));
  std::optional<Result<>> closed;
  Start(stream->AwaitClosed(), closed);
  RunReady();
  EXPECT_FALSE(closed);
  stream->OnExit();
  RunUntil([&] { return closed.has_value(); });
  EXPECT_TRUE(*closed);
}

class TerminalTest : public StreamTest {
 protected:
  TerminalTest() {
    int master = -1;
    int slave = -1;
    EXPECT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    name_ = ttyname(slave);
    slave_ = UniqueFd(slave);
    in_ = Input(UniqueFd(dup(master)), true);
    out_ = Output(UniqueFd(master));
  }
  std::string name_;
  UniqueFd slave_;
  std::shared_ptr<InputStream> in_;
  std::shared_ptr<OutputStream> out_;
};

TEST_F(TerminalTest, EchoesResizesAndEnds) {
  ASSERT_TRUE(Run(in_->Write("hello\n")));
  EXPECT_EQ(Read(*out_), "hello\r\n");
  ASSERT_TRUE(in_->Resize(50, 132));
  winsize size{};
  ASSERT_EQ(ioctl(slave_.get(), TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_row, 50);
  EXPECT_EQ(size.ws_col, 132);
  EXPECT_EQ(in_->Resize(70000, 1).error().code(), Code::kInvalidArgument);
  in_->Close();
  ASSERT_TRUE(Run(in_->Write("more\n"))) << "a terminal's stdin is not closed";
  EXPECT_EQ(Read(*out_), "more\r\n");
  ASSERT_TRUE(WriteAll(slave_.get(), "bye\n"));
  EXPECT_EQ(Run(in_->AwaitClosed()).error().code(), Code::kFailedPrecondition);
  slave_.Reset();
  EXPECT_EQ(Read(*out_), "bye\r\n");
  out_->OnExit();
  in_->OnExit();
  EXPECT_EQ(Read(*out_), "");
}

TEST_F(TerminalTest, MayBeOpenedAgainByARunningProcess) {
  slave_.Reset();
  std::optional<Result<OutputStream::Piece>> data;
  Start(out_->Read(100), data);
  RunReady();
  EXPECT_FALSE(data) << "hung up, but the process runs";
  slave_ = *Open(name_, O_RDWR | O_NOCTTY);
  ASSERT_TRUE(WriteAll(slave_.get(), "again"));
  RunUntil([&] { return data.has_value(); });
  EXPECT_EQ(Text(**std::move(data)), "again");
  data.reset();
  slave_.Reset();
  Start(out_->Read(100), data);
  RunReady();
  out_->OnExit();
  RunUntil([&] { return data.has_value(); });
  EXPECT_EQ(Text(**std::move(data)), "");
}

}  // namespace
}  // namespace kata::agent
