// SPDX-License-Identifier: Apache-2.0
// Sends and receives ttRPC frames over one descriptor (a unix socket, a vsock or a virtio-serial port), for both the
// client and the server.
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
  bool dropped = false;  // the payload exceeded its limit and was discarded
};

// The largest payload, in bytes, that is kept of the frame with this header.
using PayloadLimit = std::function<size_t(const FrameHeader&)>;

// Reads frames one at a time, and writes whole frames in the order of the calls of Send. Not thread-safe.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Takes ownership of a stream descriptor that poll(2) supports. Makes the whole process ignore SIGPIPE.
  static std::shared_ptr<Connection> Create(const asio::any_io_executor& executor, UniqueFd fd);

  // Reads the next frame. A payload that exceeds limit is read and discarded (Frame::dropped). kUnavailable: the
  // connection ended; kInvalidArgument: a malformed header. Only one Receive at a time.
  asio::awaitable<Result<Frame>> Receive(PayloadLimit limit = {});
  // Sends a frame and sets its header's length. Returns when the kernel has taken all of it, so a slow peer delays its
  // senders. kResourceExhausted: more than kMaxPayload bytes; kUnavailable: the connection ended.
  asio::awaitable<Result<>> Send(Frame frame);
  // Closes the descriptor; pending calls of Receive and Send fail with kUnavailable.
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
