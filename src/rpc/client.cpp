// SPDX-License-Identifier: Apache-2.0
#include "rpc/client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "base/coroutine.h"
#include "protocol/ttrpc.pb.h"

namespace kata::rpc {
namespace {

Result<std::string> ParseResponse(const std::string& payload) {
  ttrpc::Response response;
  if (!response.ParseFromString(payload)) return Fail(Code::kInternal, "the peer's response is not a valid message");
  if (response.has_status() && response.status().code() != 0) {
    const int code = response.status().code();
    const bool known = code >= static_cast<int>(Code::kCancelled) && code <= static_cast<int>(Code::kUnavailable);
    return tl::unexpected<Error>(Error(known ? static_cast<Code>(code) : Code::kUnknown, response.status().message()));
  }
  return std::move(*response.mutable_payload());
}

}  // namespace

// A call that waits for its reply. Cancelling `done` wakes it when the reply is set.
struct Client::Call_ {
  Call_(const asio::any_io_executor& executor, size_t limit) : done(executor), max_reply(limit) {}
  asio::steady_timer done;
  size_t max_reply;
  std::optional<Result<std::string>> reply;
};

Client::Client(const asio::any_io_executor& executor, UniqueFd fd)
    : executor_(executor), connection_(Connection::Create(executor, std::move(fd))), closed_(executor) {
  closed_.expires_at(asio::steady_timer::time_point::max());
}

Client::~Client() { connection_->Close(); }

std::shared_ptr<Client> Client::Create(const asio::any_io_executor& executor, UniqueFd fd) {
  std::shared_ptr<Client> client(new Client(executor, std::move(fd)));
  asio::co_spawn(executor, ReadLoop(client, client->connection_), asio::detached);
  return client;
}

asio::awaitable<Result<std::string>> Client::CallRaw(std::string service, std::string method, std::string payload,
                                                     Patience patience, size_t max_reply) {
  auto self = shared_from_this();
  if (closed()) co_return Fail(Code::kUnavailable, "{}: the connection is closed", method);
  ttrpc::Request request;
  request.set_service(std::move(service));
  request.set_method(method);
  request.set_payload(std::move(payload));
  if (!patience.for_ever()) request.set_timeout_nano(std::chrono::nanoseconds(patience.longest()).count());

  const uint32_t stream = next_stream_;
  next_stream_ += 2;
  auto call = std::make_shared<Call_>(executor_, max_reply);
  calls_[stream] = call;
  Frame frame{{0, stream, FrameType::kRequest, 0}, request.SerializeAsString()};
  // Sent by a separate coroutine, so that the call can time out while the peer does not read.
  auto send = [](std::shared_ptr<Connection> connection, Frame out,
                 std::shared_ptr<Call_> waiting) -> asio::awaitable<void> {
    auto sent = co_await connection->Send(std::move(out));
    if (!sent && !waiting->reply) {
      waiting->reply = tl::unexpected<Error>(std::move(sent).error());
      waiting->done.cancel();
    }
  };
  asio::co_spawn(executor_, send(connection_, std::move(frame), call), asio::detached);

  while (!call->reply) {
    if (patience.for_ever()) {
      call->done.expires_at(asio::steady_timer::time_point::max());
    } else if (const auto next = patience.Next(); next.count() > 0) {
      call->done.expires_after(next);
    } else {
      break;
    }
    co_await call->done.async_wait(kAwait);
  }
  calls_.erase(stream);
  if (!call->reply) {
    abandoned_.insert(stream);
    // ETIMEDOUT tells a local time-out from a peer that answers with kDeadlineExceeded.
    std::string why = fmt::format("{}: no answer {}", method, patience.Text());
    co_return tl::unexpected<Error>(Error(Code::kDeadlineExceeded, std::move(why), ETIMEDOUT));
  }
  co_return std::move(*call->reply);
}

asio::awaitable<void> Client::ReadLoop(std::weak_ptr<Client> weak, std::shared_ptr<Connection> connection) {
  const PayloadLimit limit = [weak](const FrameHeader& header) -> size_t {
    auto self = weak.lock();
    if (!self) return 0;
    const auto call = self->calls_.find(header.stream);
    // No call waits for this frame: discard its payload.
    return call == self->calls_.end() ? 0 : call->second->max_reply;
  };
  while (true) {
    auto frame = co_await connection->Receive(limit);
    auto self = weak.lock();
    if (!self) co_return;
    Result<> taken = frame ? self->Take(*std::move(frame)) : Result<>(tl::unexpected<Error>(std::move(frame).error()));
    if (!taken) {
      connection->Close();
      self->FailAll(taken.error());
      co_return;
    }
  }
}

Result<> Client::Take(Frame frame) {
  if (frame.header.type != FrameType::kResponse) {
    return Fail(Code::kInvalidArgument, "the peer sent a frame that is no response");
  }
  const auto call = calls_.find(frame.header.stream);
  if (call == calls_.end()) {
    if (abandoned_.erase(frame.header.stream) == 1) return {};
    return Fail(Code::kInvalidArgument, "the peer answered a call that does not wait for an answer");
  }
  if (call->second->reply) return Fail(Code::kInvalidArgument, "the peer answered a call twice");
  if (frame.dropped) {
    call->second->reply = Fail(Code::kResourceExhausted, "the peer's answer of {} bytes is over the limit of {}",
                               frame.header.length, call->second->max_reply);
  } else {
    call->second->reply = ParseResponse(frame.payload.bytes);
  }
  call->second->done.cancel();
  return {};
}

void Client::FailAll(const Error& error) {
  for (auto& [stream, call] : calls_) {
    if (!call->reply) call->reply = tl::unexpected<Error>(Error(Code::kUnavailable, error.message()));
    call->done.cancel();
  }
  closed_.cancel();
  closed_.expires_at(asio::steady_timer::time_point::min());
}

void Client::Close() {
  connection_->Close();
  FailAll(Error(Code::kUnavailable, "the connection was closed"));
}

bool Client::closed() const { return connection_->closed(); }

asio::awaitable<void> Client::Closed() {
  auto self = shared_from_this();
  if (!closed()) co_await closed_.async_wait(kAwait);
}

}  // namespace kata::rpc
