// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/foreign_fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <climits>

#include "base/coroutine.h"
#include "base/files.h"

namespace kata::sandbox {
namespace {

// Opening /dev/tty again gives the controlling terminal of this process, and opening /dev/ptmx makes a new pair.
bool MeansAnotherTerminal(dev_t device) { return device == makedev(5, 0) || device == makedev(5, 2); }

bool CanBeOpenedAnew(int fd, const struct stat& status) {
  if (S_ISFIFO(status.st_mode)) return true;
  return S_ISCHR(status.st_mode) && isatty(fd) == 1 && !MeansAnotherTerminal(status.st_rdev);
}

}  // namespace

Result<std::shared_ptr<ForeignFd>> ForeignFd::Open(const asio::any_io_executor& executor, UniqueFd fd,
                                                   Direction direction) {
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return FailErrno("cannot look at a descriptor of the stdio");
  Kind kind = S_ISSOCK(status.st_mode) ? Kind::kSocket : Kind::kPolled;
  if (CanBeOpenedAnew(fd.get(), status)) {
    int flags = (direction == Direction::kRead ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    // This fails for a pipe of another user without CAP_DAC_OVERRIDE, and for a FIFO that nobody reads. Those are
    // polled.
    UniqueFd own(::open(FdPath(fd.get()).c_str(), flags));
    if (own) {
      fd = std::move(own);
      kind = Kind::kOwn;
    }
  }
  return Make(executor, std::move(fd), direction, kind);
}

Result<std::shared_ptr<ForeignFd>> ForeignFd::OpenOwn(const asio::any_io_executor& executor, UniqueFd fd,
                                                      Direction direction) {
  return Make(executor, std::move(fd), direction, Kind::kOwn);
}

Result<std::shared_ptr<ForeignFd>> ForeignFd::Make(const asio::any_io_executor& executor, UniqueFd fd,
                                                   Direction direction, Kind kind) {
  UniqueFd poll(epoll_create1(EPOLL_CLOEXEC));
  if (!poll) return FailErrno("cannot make an epoll descriptor");
  epoll_event event{.events = direction == Direction::kRead ? EPOLLIN : EPOLLOUT};
  if (epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) {
    if (errno != EPERM) return FailErrno("cannot wait for a descriptor of the stdio");
    kind = Kind::kDirect;
  }
  const bool terminal = isatty(fd.get()) == 1;
  std::shared_ptr<ForeignFd> foreign(new ForeignFd(std::move(fd), kind, terminal));
  if (kind != Kind::kDirect) foreign->poll_.emplace(executor, poll.Release());
  return foreign;
}

asio::awaitable<Result<>> ForeignFd::WaitReady() {
  auto self = shared_from_this();
  if (cancelled_) co_return Fail(Code::kCancelled, "cancelled");
  if (poll_) {
    co_await poll_->async_wait(asio::posix::descriptor_base::wait_read, kAwait);
  } else {
    // Lets other coroutines run between two chunks of a long file.
    co_await asio::post(asio::use_awaitable);
  }
  if (cancelled_) co_return Fail(Code::kCancelled, "cancelled");
  co_return Result<>();
}

asio::awaitable<Result<std::string>> ForeignFd::Read(size_t limit) {
  auto self = shared_from_this();
  std::string data;
  while (true) {
    if (!finishing_) CO_TRY(co_await WaitReady());
    if (finishing_ && !IsReadable()) co_return std::string();
    data.resize(limit);
    ssize_t got = kind_ == Kind::kSocket ? recv(fd_.get(), data.data(), limit, MSG_DONTWAIT)
                                         : read(fd_.get(), data.data(), limit);
    if (got >= 0) {
      data.resize(static_cast<size_t>(got));
      co_return data;
    }
    // EIO: the other end of the terminal has gone, which is the end of a terminal's input.
    if (errno == EIO) co_return std::string();
    if (errno != EINTR && errno != EAGAIN) co_return FailErrno("cannot read from the stdin that was given");
  }
}

asio::awaitable<Result<>> ForeignFd::Write(std::string data, Progress progress) {
  auto self = shared_from_this();
  std::string_view rest = data;
  while (!rest.empty()) {
    // When poll(2) says that a pipe is writable, PIPE_BUF bytes fit.
    size_t size = kind_ == Kind::kPolled ? std::min<size_t>(rest.size(), PIPE_BUF) : rest.size();
    // A non-blocking write is tried at once. A polled descriptor could block; before a direct one, other coroutines
    // run.
    if (kind_ == Kind::kPolled || kind_ == Kind::kDirect) CO_TRY(co_await WaitReady());
    if (cancelled_) co_return Fail(Code::kCancelled, "cancelled");
    ssize_t put = kind_ == Kind::kSocket ? send(fd_.get(), rest.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                         : write(fd_.get(), rest.data(), size);
    if (put >= 0) {
      rest.remove_prefix(static_cast<size_t>(put));
      progress(static_cast<size_t>(put));
    } else if (errno == EAGAIN) {
      CO_TRY(co_await WaitReady());
    } else if (errno == EPIPE || errno == EIO || errno == ECONNRESET) {
      co_return Fail(Code::kUnavailable, "nobody reads it any more");
    } else if (errno != EINTR) {
      co_return FailErrno("cannot write to it");
    }
  }
  co_return Result<>();
}

bool ForeignFd::IsReadable() const {
  pollfd state{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return !cancelled_ && ::poll(&state, 1, 0) == 1 && (state.revents & POLLIN) != 0;
}

bool ForeignFd::HungUp() const {
  if (!terminal_) return false;
  pollfd state{.fd = fd_.get(), .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}

void ForeignFd::Finish() {
  finishing_ = true;
  boost::system::error_code ignored;
  if (poll_) poll_->cancel(ignored);
}

void ForeignFd::Cancel() {
  cancelled_ = true;
  boost::system::error_code ignored;
  if (poll_) poll_->cancel(ignored);
}

}  // namespace kata::sandbox
