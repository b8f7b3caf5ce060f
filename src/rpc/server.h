// SPDX-License-Identifier: Apache-2.0
// The answering side of ttRPC: methods in a table, each call a coroutine of its own.
#pragma once

#include <google/protobuf/message_lite.h>
#include <sys/socket.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "rpc/connection.h"

namespace kata::rpc {

// The methods that a server offers, by "service/method". Filled before the first connection, then left alone.
class MethodTable {
 public:
  // From a serialized request to a serialized reply.
  using Handler = std::function<asio::awaitable<Result<Payload>>(std::string payload)>;

  void Add(const std::string& service, const std::string& method, Handler handler);
  const Handler* Find(const std::string& service, const std::string& method) const;

  // Registers a coroutine Result<Reply>(Request). A request that does not parse is kInvalidArgument.
  //   table.Method<CheckRequest, HealthCheckResponse>("grpc.Health", "Check", CheckFunction);
  template <typename Request, typename Reply, typename Function>
  void Method(const std::string& service, const std::string& method, Function function) {
    // Not a coroutine: one for each kind of reply is enough, and one for each method would be much code.
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

// The most calls that one connection may have waiting at once; more are answered kResourceExhausted.
inline constexpr size_t kMaxCallsPerConnection = 4096;

// Serves one connection until it ends; then returns why (kUnavailable: the peer closed it). Calls still running go on
// and their answers are dropped. table must outlive the calls.
asio::awaitable<Error> Serve(std::shared_ptr<Connection> connection, const MethodTable& table);

// A listening unix socket at dirfd/name, mode 0600; whatever stood there before is replaced.
Result<UniqueFd> ListenUnix(int dirfd, const std::string& name);
// Accepts for ever and serves each connection whose peer is root or this process's user (SO_PEERCRED), the others are
// closed. Ends when the executor's context stops.
asio::awaitable<void> ServeUnix(UniqueFd listener, const MethodTable& table);
// Connects to the socket at dirfd/name. Works for paths longer than sun_path, by way of /proc/self/fd.
Result<UniqueFd> ConnectUnix(int dirfd, const std::string& name);
// The same for a trusted absolute path.
Result<UniqueFd> ConnectUnixPath(const std::string& path);

// Whose the other end of a connection is (SO_PEERCRED, unix(7)): of an accepted one who connected, of a connected one
// who called listen(2) last.
Result<ucred> PeerOf(int connection);

}  // namespace kata::rpc
