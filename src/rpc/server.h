// SPDX-License-Identifier: Apache-2.0
// The server side of ttRPC: a table of methods, and one coroutine for each call.
#pragma once

#include <google/protobuf/message_lite.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "base/coroutine.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "rpc/connection.h"

namespace kata::rpc {

// The methods of a server, by "service/method". To be filled before the first connection and not changed afterwards.
class MethodTable {
 public:
  // Turns a serialized request into a serialized reply.
  using Handler = std::function<asio::awaitable<Result<Payload>>(std::string payload)>;

  void Add(const std::string& service, const std::string& method, Handler handler);
  // nullptr: there is no such method. The pointer is valid as long as the table.
  const Handler* Find(const std::string& service, const std::string& method) const;

  // Registers a coroutine that takes a Request and returns a Result<Reply>. A request that does not parse is answered
  // with kInvalidArgument.
  //   table.Method<CheckRequest, HealthCheckResponse>("grpc.Health", "Check", CheckFunction);
  template <typename Request, typename Reply, typename Function>
  void Method(const std::string& service, const std::string& method, Function function) {
    // This lambda is no coroutine: Serialize is instantiated once for each type of reply, while a coroutine here would
    // be instantiated for each method and make the program larger.
    Add(service, method, [function = std::move(function)](std::string payload) {
      Request request;
      if (!request.ParseFromString(payload)) return Refuse();
      payload = std::string();
      return Serialize<Reply>(function(std::move(request)));
    });
  }

 private:
  static asio::awaitable<Result<Payload>> Refuse();
  template <typename Reply>
  static asio::awaitable<Result<Payload>> Serialize(asio::awaitable<Result<Reply>> call) {
    Result<Reply> reply = co_await std::move(call);
    if (!reply) co_return tl::unexpected<Error>(std::move(reply).error());
    co_return reply->SerializeAsString();
  }

  std::map<std::string, Handler> handlers_;
};

// The most calls that may be pending on one connection; further ones are answered with kResourceExhausted.
inline constexpr size_t kMaxCallsPerConnection = 4096;

// Serves one connection until it ends, closes it, and returns the reason: kUnavailable when the peer closed it,
// kInvalidArgument when the peer violated the protocol. Pending calls run on, and their replies are dropped. table must
// outlive those calls.
asio::awaitable<Error> Serve(std::shared_ptr<Connection> connection, const MethodTable& table);

// The connections of a server, so that it can leave it to its clients to close them.
class Clients {
 public:
  // Returns when the clients of this moment have closed their connections, or when the time is over. To be called
  // between the last reply and the end of the process: when containerd's client sees a reply and the end of its
  // connection at the same time, it may report the call as failed ("ttrpc: closed").
  asio::awaitable<void> AwaitGone(std::chrono::milliseconds time) const;

 private:
  friend asio::awaitable<void> ServeUnix(UniqueFd listener, const MethodTable& table, std::shared_ptr<Clients> clients);

  std::list<Event> connections_;  // each happens when the connection has ended, and is removed then
};

// Accepts connections and serves those whose peer is root or this process's user (SO_PEERCRED); closes the others. Runs
// until the executor's context stops. table must outlive the calls. clients may be empty.
asio::awaitable<void> ServeUnix(UniqueFd listener, const MethodTable& table, std::shared_ptr<Clients> clients = {});

}  // namespace kata::rpc
