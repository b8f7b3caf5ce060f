// SPDX-License-Identifier: Apache-2.0
// A descriptor that came from outside, read and written without ever blocking the process and without ever making its
// description non-blocking, since strangers share that (docs/architecture.md, "Stdio").
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

namespace asio = boost::asio;

// One direction of one descriptor. Used by one coroutine at a time.
class ForeignFd : public std::enable_shared_from_this<ForeignFd> {
 public:
  enum class Direction { kRead, kWrite };
  // Called for each number of bytes that went through.
  using Progress = std::function<void(size_t)>;

  static Result<std::shared_ptr<ForeignFd>> Open(const asio::any_io_executor& executor, UniqueFd fd,
                                                 Direction direction);
  // For a descriptor whose description is this process's alone, and non-blocking.
  static Result<std::shared_ptr<ForeignFd>> OpenOwn(const asio::any_io_executor& executor, UniqueFd fd,
                                                    Direction direction);

  // Up to limit bytes as soon as there are any; empty at the end. kCancelled after Cancel.
  asio::awaitable<Result<std::string>> Read(size_t limit);
  // All of data. kUnavailable when nobody can read it any more (EPIPE, a terminal that was hung up); kCancelled after
  // Cancel, when a part may have been written.
  asio::awaitable<Result<>> Write(std::string data, Progress progress);
  // It is a terminal whose other side has gone. The end of a file, or what Ctrl-D means, is no such thing.
  bool HungUp() const;
  // What can be read without waiting is still read; then comes the end.
  void Finish();
  // Wakes Read and Write, now and for ever.
  void Cancel();

 private:
  // How it is used; see Open.
  enum class Kind {
    kOwn,     // non-blocking, the description is ours
    kSocket,  // MSG_DONTWAIT
    kPolled,  // poll first, then little enough that it does not block
    kDirect,  // cannot be waited for and does not block for long: files, /dev/null
  };

  ForeignFd(UniqueFd fd, Kind kind, bool terminal) : fd_(std::move(fd)), kind_(kind), terminal_(terminal) {}
  static Result<std::shared_ptr<ForeignFd>> Make(const asio::any_io_executor& executor, UniqueFd fd,
                                                 Direction direction, Kind kind);
  asio::awaitable<Result<>> WaitReady();
  bool IsReadable() const;

  UniqueFd fd_;
  Kind kind_;
  bool terminal_;  // when it was given: after a hang-up isatty(3) says no
  // An epoll instance with fd_ in it: the loop waits for this one, because Asio makes what it waits for non-blocking.
  std::optional<asio::posix::stream_descriptor> poll_;
  bool finishing_ = false;
  bool cancelled_ = false;
};

}  // namespace kata::sandbox
