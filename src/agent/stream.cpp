// SPDX-License-Identifier: Apache-2.0
#include "agent/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/coroutine.h"

namespace kata::agent {

namespace {

constexpr size_t kSmallRead = 4096;
// The capacity of a new pipe, pipe(7).
constexpr size_t kPipeSize = 64U << 10U;
// The interval at which a terminal that no process has open is read again.
constexpr std::chrono::milliseconds kHangupPoll{100};

Result<> SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return FailErrno("cannot make a stream of the process non-blocking");
  }
  return {};
}

bool IsPipe(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

Result<std::shared_ptr<OutputStream>> OutputStream::Create(const asio::any_io_executor& executor, UniqueFd fd) {
  TRY(SetNonBlocking(fd.get()));
  return std::shared_ptr<OutputStream>(new OutputStream(executor, std::move(fd)));
}

OutputStream::OutputStream(const asio::any_io_executor& executor, UniqueFd fd)
    : stream_(executor, fd.get()), hangup_(executor), is_pipe_(IsPipe(fd.Release())) {}

// Moves data from the process's pipe into a new pipe, by moving its pages. The data needs no memory of the agent. And
// no process of the container can read from the new pipe before it is sent, as it could from its own stdout. False:
// there is no new pipe, or no data.
bool OutputStream::Divert(size_t length, rpc::Piped& data) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return false;
  data.pipe = UniqueFd(ends[0]);
  const UniqueFd in(ends[1]);
  if (length > kPipeSize) (void)::fcntl(in.get(), F_SETPIPE_SZ, static_cast<int>(length));
  const ssize_t moved =
      ::splice(stream_.native_handle(), nullptr, in.get(), nullptr, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (moved <= 0) return false;
  data.size = static_cast<size_t>(moved);
  return true;
}

OutputStream::Outcome OutputStream::ReadNow(size_t length, rpc::Payload& data) {
  const int fd = stream_.native_handle();
  int available = 0;
  if (is_pipe_ && length > kSmallRead && ::ioctl(fd, FIONREAD, &available) == 0 &&
      available > static_cast<int>(kSmallRead) && Divert(length, data.tail)) {
    return Outcome::kData;
  }
  std::array<char, kSmallRead> small;
  const ssize_t count = ::read(fd, small.data(), std::min(length, small.size()));
  if (count > 0) data.bytes.assign(small.data(), static_cast<size_t>(count));
  if (count > 0) return Outcome::kData;
  if (count == 0) return Outcome::kEnd;
  if (errno == EAGAIN || errno == EINTR) return Outcome::kNothing;
  // Reading the master of a terminal fails with EIO while no process has the slave open.
  return errno == EIO ? Outcome::kHangup : Outcome::kEnd;
}

asio::awaitable<Result<OutputStream::Piece>> OutputStream::Read(size_t length, bool past_exit) {
  auto self = shared_from_this();
  if (length == 0) Close();
  length = std::min(length, kMaxRead);
  Piece piece;
  while (!finished_) {
    // exited_ is read before the stream: if the process has exited, all its output is in the stream already.
    const bool exited = exited_;
    const Outcome outcome = ReadNow(length, piece.data);
    if (outcome == Outcome::kData) co_return piece;
    if (outcome == Outcome::kEnd || (outcome == Outcome::kHangup && exited)) {
      Close();
    } else if (exited && past_exit && is_pipe_ && !told_held_) {
      told_held_ = true;
      piece.held = true;
      co_return piece;
    } else if (exited && !(past_exit && is_pipe_)) {
      finished_ = true;
      asio::co_spawn(stream_.get_executor(), Drain(self), asio::detached);
    } else if (outcome == Outcome::kHangup) {
      co_await AwaitHangup();
    } else {
      // OnExit and Close cancel this wait.
      co_await stream_.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    }
  }
  co_return piece;
}

// All processes have closed the slave of the terminal, but the process still runs. It may open the slave again, as
// getty does, and poll(2) does not report that: so this waits for a fixed time.
asio::awaitable<void> OutputStream::AwaitHangup() {
  hangup_.expires_after(kHangupPoll);
  co_await hangup_.async_wait(kAwait);
}

asio::awaitable<void> OutputStream::Drain(std::shared_ptr<OutputStream> self) {
  rpc::Payload data;
  for (;;) {
    if (!self->stream_.is_open()) co_return;
    const Outcome outcome = self->ReadNow(kSmallRead, data);
    if (outcome == Outcome::kEnd || outcome == Outcome::kHangup) break;
    if (outcome == Outcome::kData) {
      data = rpc::Payload();
      continue;
    }
    co_await self->stream_.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
  }
  self->Close();
}

void OutputStream::OnExit() {
  exited_ = true;
  boost::system::error_code ignored;
  if (stream_.is_open() && !finished_) stream_.cancel(ignored);
  hangup_.cancel();
}

void OutputStream::Close() {
  finished_ = true;
  boost::system::error_code ignored;
  stream_.close(ignored);
  hangup_.cancel();
}

Result<std::shared_ptr<InputStream>> InputStream::Create(const asio::any_io_executor& executor, UniqueFd fd,
                                                         bool terminal) {
  TRY(SetNonBlocking(fd.get()));
  return std::shared_ptr<InputStream>(new InputStream(executor, std::move(fd), terminal));
}

InputStream::InputStream(const asio::any_io_executor& executor, UniqueFd fd, bool terminal)
    : stream_(executor, fd.Release()), turn_(executor), terminal_(terminal) {}

asio::awaitable<Result<>> InputStream::Write(std::string data) {
  auto self = shared_from_this();
  if (closing_) co_return Fail(Code::kFailedPrecondition, "stdin has been closed");
  ++writers_;
  auto guard = co_await turn_.Acquire();
  Result<> result;
  size_t done = 0;
  while (done < data.size()) {
    if (exited_ || !stream_.is_open()) {
      result = Fail(Code::kFailedPrecondition, "the process has exited: nobody reads its stdin");
      break;
    }
    const ssize_t count = ::write(stream_.native_handle(), data.data() + done, data.size() - done);
    if (count >= 0) {
      done += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      co_await stream_.async_wait(asio::posix::stream_descriptor::wait_write, kAwait);
    } else if (errno != EINTR) {
      result = Fail(Code::kFailedPrecondition, "the process does not read its stdin: {}", ErrnoText(errno));
      break;
    }
  }
  --writers_;
  CloseWhenIdle();
  co_return result;
}

asio::awaitable<Result<>> InputStream::AwaitClosed() {
  auto self = shared_from_this();
  if (terminal_) co_return Fail(Code::kFailedPrecondition, "a terminal's input has no end");
  while (stream_.is_open()) {
    pollfd state{.fd = stream_.native_handle(), .events = 0, .revents = 0};
    if (::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0) break;
    co_await stream_.async_wait(asio::posix::stream_descriptor::wait_error, kAwait);
  }
  // Writes in progress fail with EPIPE by themselves.
  closing_ = true;
  CloseWhenIdle();
  co_return Result<>();
}

void InputStream::Close() {
  if (terminal_) return;
  closing_ = true;
  CloseWhenIdle();
}

void InputStream::CloseWhenIdle() {
  if (writers_ > 0 || !(closing_ || exited_)) return;
  boost::system::error_code ignored;
  stream_.close(ignored);
}

void InputStream::OnExit() {
  exited_ = true;
  boost::system::error_code ignored;
  if (stream_.is_open()) stream_.cancel(ignored);
  CloseWhenIdle();
}

Result<> InputStream::Resize(uint32_t rows, uint32_t columns) {
  if (!terminal_) return Fail(Code::kFailedPrecondition, "the process has no terminal");
  if (rows > UINT16_MAX || columns > UINT16_MAX) {
    return Fail(Code::kInvalidArgument, "a terminal of {} rows and {} columns is not possible", rows, columns);
  }
  if (!stream_.is_open()) return Fail(Code::kNotFound, "the process has exited");
  winsize size{};
  size.ws_row = static_cast<uint16_t>(rows);
  size.ws_col = static_cast<uint16_t>(columns);
  if (::ioctl(stream_.native_handle(), TIOCSWINSZ, &size) < 0) return FailErrno("cannot resize the terminal");
  return {};
}

}  // namespace kata::agent
