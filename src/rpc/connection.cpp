// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection.h"

#include <fcntl.h>
#include <signal.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "base/coroutine.h"

namespace kata::rpc {
namespace {

tl::unexpected<Error> Lost(const boost::system::error_code& error) {
  if (error == asio::error::eof) return Fail(Code::kUnavailable, "the peer closed the connection");
  return Fail(Code::kUnavailable, "the connection is lost: {}", error.message());
}

}  // namespace

Connection::Connection(const asio::any_io_executor& executor, UniqueFd fd)
    : stream_(executor, fd.Release()), writer_turn_(executor) {
  writer_turn_.expires_at(asio::steady_timer::time_point::max());
}

std::shared_ptr<Connection> Connection::Create(const asio::any_io_executor& executor, UniqueFd fd) {
  // write(2) has no MSG_NOSIGNAL: without this, writing to a closed peer would kill the process.
  static const auto ignored = signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  return std::shared_ptr<Connection>(new Connection(executor, std::move(fd)));
}

asio::awaitable<Result<Frame>> Connection::Receive(PayloadLimit limit) {
  auto self = shared_from_this();
  std::array<uint8_t, kHeaderSize> bytes{};
  auto [header_error, header_count] = co_await asio::async_read(stream_, asio::buffer(bytes), kAwait);
  if (header_error) co_return Lost(header_error);
  CO_TRY_ASSIGN(const FrameHeader header, DecodeHeader(bytes));
  Frame frame{header, {}};
  frame.dropped = limit && header.length > limit(header);
  std::string& payload = frame.payload.bytes;
  // The buffer grows as data arrives, so that a peer cannot make this process allocate by announcing a large payload.
  constexpr size_t kStep = 256U << 10U;
  for (size_t left = header.length; left > 0;) {
    const size_t step = std::min(left, kStep);
    const size_t start = frame.dropped ? 0 : payload.size();
    payload.resize(start + step);
    auto [error, count] = co_await asio::async_read(stream_, asio::buffer(payload.data() + start, step), kAwait);
    if (error) co_return Lost(error);
    left -= step;
  }
  if (frame.dropped) payload = std::string();
  co_return frame;
}

asio::awaitable<Result<>> Connection::Send(Frame frame) {
  auto self = shared_from_this();
  if (frame.payload.size() > kMaxPayload) {
    co_return Fail(Code::kResourceExhausted, "a message of {} bytes is over ttRPC's limit of {}", frame.payload.size(),
                   kMaxPayload);
  }
  // One writer at a time, so that frames do not mix. cancel_one wakes the waiters in the order of their arrival.
  while (writing_ && !closed_) co_await writer_turn_.async_wait(kAwait);
  if (closed_) co_return Fail(Code::kUnavailable, "the connection is closed");
  writing_ = true;
  frame.header.length = static_cast<uint32_t>(frame.payload.size());
  const auto header = EncodeHeader(frame.header);
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(header), asio::buffer(frame.payload.bytes)};
  auto [error, count] = co_await asio::async_write(stream_, buffers, kAwait);
  if (!error && frame.payload.tail.size > 0) error = co_await SendTail(std::move(frame.payload.tail));
  writing_ = false;
  writer_turn_.cancel_one();
  if (error) {
    // A part of the frame may have been sent, so the peer could not parse anything that follows.
    Close();
    co_return Lost(error);
  }
  co_return Result<>();
}

asio::awaitable<boost::system::error_code> Connection::SendTail(Piped tail) {
  while (tail.size > 0) {
    if (closed_) co_return asio::error::operation_aborted;
    // The pipe holds all tail.size bytes, so EAGAIN can only mean that the stream is full.
    const ssize_t sent = ::splice(tail.pipe.get(), nullptr, stream_.native_handle(), nullptr, tail.size,
                                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (sent > 0) {
      tail.size -= static_cast<size_t>(sent);
    } else if (sent == 0) {
      co_return asio::error::broken_pipe;
    } else if (errno == EAGAIN) {
      auto [error] = co_await stream_.async_wait(asio::posix::descriptor_base::wait_write, kAwait);
      if (error) co_return error;
    } else if (errno != EINTR) {
      co_return boost::system::error_code(errno, boost::system::system_category());
    }
  }
  co_return boost::system::error_code();
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  boost::system::error_code ignored;
  stream_.close(ignored);
  writer_turn_.cancel();
}

}  // namespace kata::rpc
