// SPDX-License-Identifier: Apache-2.0
// Reads and writes a descriptor from outside without blocking the process. Other processes share its open file
// description, so it is never made non-blocking (docs/architecture.md, "Stdio").
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

// One direction of one descriptor, for one coroutine at a time.
class ForeignFd : public std::enable_shared_from_this<ForeignFd> {
 public:
  enum class Direction { kRead, kWrite };
  // Called after each write with the number of bytes written.
  using Progress = std::function<void(size_t)>;

  // For a descriptor from outside. Takes it over. Pipes and terminals are opened again, if possible.
  static Result<std::shared_ptr<ForeignFd>> Open(const asio::any_io_executor& executor, UniqueFd fd,
                                                 Direction direction);
  // For a descriptor whose open file description is non-blocking and this process's alone.
  static Result<std::shared_ptr<ForeignFd>> OpenOwn(const asio::any_io_executor& executor, UniqueFd fd,
                                                    Direction direction);

  // Returns up to limit bytes as soon as there are any. Empty: the end. kCancelled: after Cancel.
  asio::awaitable<Result<std::string>> Read(size_t limit);
  // Writes all of data. kUnavailable: nobody can read it any more (EPIPE, or a terminal that was hung up). kCancelled:
  // after Cancel; a part may have been written.
  asio::awaitable<Result<>> Write(std::string data, Progress progress);
  // Whether it is a terminal whose other side has gone. The end of a file and Ctrl-D are no hang-up.
  bool HungUp() const;
  // Makes Read return what is available without waiting, and then the end.
  void Finish();
  // Wakes Read and Write and makes them fail from now on.
  void Cancel();

 private:
  // How the descriptor is used; see Open.
  enum class Kind {
    kOwn,     // non-blocking; the open file description is this process's
    kSocket,  // MSG_DONTWAIT
    kPolled,  // polled first, then with so few bytes that it does not block
    kDirect,  // cannot be polled and does not block for long: files, /dev/null
  };

  ForeignFd(UniqueFd fd, Kind kind, bool terminal) : fd_(std::move(fd)), kind_(kind), terminal_(terminal) {}
  static Result<std::shared_ptr<ForeignFd>> Make(const asio::any_io_executor& executor, UniqueFd fd,
                                                 Direction direction, Kind kind);
  asio::awaitable<Result<>> WaitReady();
  bool IsReadable() const;

  UniqueFd fd_;
  Kind kind_;
  bool terminal_;  // as of Make: after a hang-up isatty(3) says no
  // An epoll instance with fd_ in it. The loop waits for the instance, because Asio makes what it waits for
  // non-blocking.
  std::optional<asio::posix::stream_descriptor> poll_;
  bool finishing_ = false;
  bool cancelled_ = false;
};

}  // namespace kata::sandbox
