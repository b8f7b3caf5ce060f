// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection.h"

#include <signal.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace kata::rpc {
namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

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
  // A peer that has gone is an error of write(2), which knows no MSG_NOSIGNAL, and not the end of this process.
  static const auto ignored = signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  return std::shared_ptr<Connection>(new Connection(executor, std::move(fd)));
}

asio::awaitable<Result<Frame>> Connection::Receive() {
  auto self = shared_from_this();
  std::array<uint8_t, kHeaderSize> bytes{};
  auto [header_error, header_count] = co_await asio::async_read(stream_, asio::buffer(bytes), kAwait);
  if (header_error) co_return Lost(header_error);
  CO_TRY_ASSIGN(const FrameHeader header, DecodeHeader(bytes));
  Frame frame{header, std::string()};
  // Grows with what has arrived: a peer that announces 4 MiB and sends nothing costs nothing.
  constexpr size_t kStep = 256U << 10U;
  while (frame.payload.size() < header.length) {
    const size_t start = frame.payload.size();
    frame.payload.resize(std::min<size_t>(header.length, start + kStep));
    const auto rest = asio::buffer(frame.payload.data() + start, frame.payload.size() - start);
    auto [error, count] = co_await asio::async_read(stream_, rest, kAwait);
    if (error) co_return Lost(error);
  }
  co_return frame;
}

asio::awaitable<Result<>> Connection::Send(Frame frame) {
  auto self = shared_from_this();
  if (frame.payload.size() > kMaxPayload) {
    co_return Fail(Code::kResourceExhausted, "a message of {} bytes is over ttRPC's limit of {}", frame.payload.size(),
                   kMaxPayload);
  }
  // One writer at a time, so that frames do not mix. Waiters are woken one by one, in the order in which they came.
  while (writing_ && !closed_) co_await writer_turn_.async_wait(kAwait);
  if (closed_) co_return Fail(Code::kUnavailable, "the connection is closed");
  writing_ = true;
  frame.header.length = static_cast<uint32_t>(frame.payload.size());
  const auto header = EncodeHeader(frame.header);
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(header), asio::buffer(frame.payload)};
  auto [error, count] = co_await asio::async_write(stream_, buffers, kAwait);
  writing_ = false;
  writer_turn_.cancel_one();
  if (error) {
    // Half a frame may have gone out: nothing after it could be understood.
    Close();
    co_return Lost(error);
  }
  co_return Result<>();
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  boost::system::error_code ignored;
  stream_.close(ignored);
  writer_turn_.cancel();
}

}  // namespace kata::rpc
