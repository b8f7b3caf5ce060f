// SPDX-License-Identifier: Apache-2.0
// Frames over one descriptor, whichever side of ttRPC uses it: a unix socket, a vsock, or a virtio-serial port.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "rpc/frame.h"
#include "rpc/payload.h"

namespace kata::rpc {

namespace asio = boost::asio;

// One frame with its payload.
struct Frame {
  FrameHeader header;
  Payload payload;
  bool dropped = false;  // the payload was longer than its limit
};

// How long a payload the frame with this header may have.
using PayloadLimit = std::function<size_t(const FrameHeader&)>;

// Reads frames one at a time and writes them whole, in the order of Send's calls. Used from one thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Takes a stream descriptor that poll(2) can wait for.
  static std::shared_ptr<Connection> Create(const asio::any_io_executor& executor, UniqueFd fd);

  // The next frame; kUnavailable at the end of the stream, kInvalidArgument for a broken one. A payload over its limit
  // is read to its end and not kept. One reader at a time.
  asio::awaitable<Result<Frame>> Receive(PayloadLimit limit = {});
  // Queues a frame; returns when it has been handed to the kernel, so a slow peer holds its senders back.
  asio::awaitable<Result<>> Send(Frame frame);
  // Ends both directions; what waits in Receive or Send fails with kUnavailable.
  void Close();
  bool closed() const { return closed_; }
  int fd() { return stream_.native_handle(); }

 private:
  Connection(const asio::any_io_executor& executor, UniqueFd fd);
  asio::awaitable<boost::system::error_code> SendTail(Piped tail);

  asio::posix::stream_descriptor stream_;
  asio::steady_timer writer_turn_;
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace kata::rpc
