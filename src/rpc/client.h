// SPDX-License-Identifier: Apache-2.0
// The client side of ttRPC: any number of concurrent unary calls over one connection.
#pragma once

#include <google/protobuf/message_lite.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/patience.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "rpc/connection.h"

namespace kata::rpc {

// No deadline, for calls that wait for an event, such as WaitProcess.
inline constexpr std::chrono::milliseconds kNoTimeout{0};

// A ttRPC client; to be used from the executor's thread only. When the connection is lost, every pending and every
// later call fails with kUnavailable.
class Client : public std::enable_shared_from_this<Client> {
 public:
  // fd is a connected stream, as for Connection::Create.
  static std::shared_ptr<Client> Create(const asio::any_io_executor& executor, UniqueFd fd);
  ~Client();

  // Makes one unary call. Errors: the peer's own; kUnavailable: the connection is lost; kDeadlineExceeded with
  // ETIMEDOUT as sys(): patience timed out; kInternal: the reply does not parse as Reply; kResourceExhausted: the reply
  // has more than max_reply bytes (it is discarded, the connection stays open), or the request exceeds kMaxPayload. A
  // peer that answers a call twice, or a call that was never made, loses the connection. A pending call holds the
  // Client; the caller holds it from the call of this function to the co_await.
  template <typename Reply>
  asio::awaitable<Result<Reply>> Call(std::string service, std::string method,
                                      const google::protobuf::MessageLite& request, Patience patience = kNoTimeout,
                                      size_t max_reply = kMaxPayload) {
    // Serialized before the first suspension, so the caller may pass a temporary as the request.
    return Parse<Reply>(service, method,
                        CallRaw(service, method, request.SerializeAsString(), std::move(patience), max_reply));
  }

  // As Call, with a serialized request and reply.
  asio::awaitable<Result<std::string>> CallRaw(std::string service, std::string method, std::string payload,
                                               Patience patience, size_t max_reply = kMaxPayload);

  // Closes the connection; every pending call fails with kUnavailable.
  void Close();
  bool closed() const;
  // Returns when the connection is closed, by either side.
  asio::awaitable<void> Closed();

 private:
  struct Call_;
  Client(const asio::any_io_executor& executor, UniqueFd fd);
  // Holds the connection but not the client: ending the client must not wait for a silent peer.
  static asio::awaitable<void> ReadLoop(std::weak_ptr<Client> weak, std::shared_ptr<Connection> connection);
  Result<> Take(Frame frame);
  void FailAll(const Error& error);

  template <typename Reply>
  static asio::awaitable<Result<Reply>> Parse(std::string service, std::string method,
                                              asio::awaitable<Result<std::string>> call) {
    auto payload = co_await std::move(call);
    if (!payload) co_return tl::unexpected<Error>(std::move(payload).error());
    Reply reply;
    if (!reply.ParseFromString(*payload)) {
      co_return Fail(Code::kInternal, "the reply to {}/{} is not a valid message", service, method);
    }
    co_return reply;
  }

  asio::any_io_executor executor_;
  std::shared_ptr<Connection> connection_;
  std::map<uint32_t, std::shared_ptr<Call_>> calls_;
  std::set<uint32_t> abandoned_;  // streams of calls that timed out, whose reply may still come
  uint32_t next_stream_ = 1;
  asio::steady_timer closed_;
};

}  // namespace kata::rpc
