// SPDX-License-Identifier: Apache-2.0
// The calling side of ttRPC: any number of unary calls at once over one connection.
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

// No deadline: for calls that wait for something, such as WaitProcess.
inline constexpr std::chrono::milliseconds kNoTimeout{0};

// Used from one thread, the executor's. Once the connection is lost every call, waiting or new, is kUnavailable.
class Client : public std::enable_shared_from_this<Client> {
 public:
  static std::shared_ptr<Client> Create(const asio::any_io_executor& executor, UniqueFd fd);
  ~Client();

  // One unary call. The error is the peer's, kUnavailable, or, when patience is at its end, kDeadlineExceeded with
  // ETIMEDOUT as sys().
  // A reply that does not parse as Reply is kInternal, one of more than max_reply bytes kResourceExhausted: it is not
  // kept, and the connection goes on. The peer may answer each call once; anything else ends the connection.
  template <typename Reply>
  asio::awaitable<Result<Reply>> Call(std::string service, std::string method,
                                      const google::protobuf::MessageLite& request, Patience patience = kNoTimeout,
                                      size_t max_reply = kMaxPayload) {
    // Serialized before the first suspension, so the request may be a temporary of the caller.
    return Parse<Reply>(service, method,
                        CallRaw(service, method, request.SerializeAsString(), std::move(patience), max_reply));
  }

  asio::awaitable<Result<std::string>> CallRaw(std::string service, std::string method, std::string payload,
                                               Patience patience, size_t max_reply = kMaxPayload);

  // Ends the connection and every call on it.
  void Close();
  bool closed() const;
  // Returns when the connection is gone, whoever ended it.
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
  std::set<uint32_t> abandoned_;  // calls whose reply may still come
  uint32_t next_stream_ = 1;
  asio::steady_timer closed_;
};

}  // namespace kata::rpc
