// SPDX-License-Identifier: Apache-2.0
#include "rpc/server.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/accept.h"
#include "base/log.h"
#include "base/text.h"
#include "protocol/ttrpc.pb.h"
#include "rpc/unix_socket.h"

namespace kata::rpc {
namespace {

constexpr size_t kMaxErrorText = 64U << 10U;

Payload Respond(const Error& error) {
  ttrpc::Response response;
  response.mutable_status()->set_code(static_cast<int>(error.code()));
  // Must be valid UTF-8: protobuf parsers of other languages reject the whole message otherwise.
  response.mutable_status()->set_message(ForeignText(error.message(), kMaxErrorText));
  return response.SerializeAsString();
}

// Serializes a ttrpc::Response with this payload. A payload in a pipe is not copied.
Payload Respond(Payload reply) {
  std::string start = BytesField(ttrpc::Response::kPayloadFieldNumber, reply.size());
  reply.bytes.insert(0, start);
  return reply;
}

// Runs one handler. This project throws no exceptions, but allocations can: then only the call fails, not the process.
asio::awaitable<Result<Payload>> Run(const MethodTable::Handler* handler, std::string payload) {
  try {
    co_return co_await (*handler)(std::move(payload));
  } catch (const std::exception& e) {
    co_return Fail(Code::kInternal, "{}", e.what());
  }
}

asio::awaitable<void> Answer(std::shared_ptr<Connection> connection, std::shared_ptr<size_t> running,
                             const MethodTable& table, Frame frame) {
  Payload out;
  {
    ttrpc::Request request;
    Result<Payload> reply = Fail(Code::kInvalidArgument, "the request is not a valid ttRPC message");
    if (request.ParseFromString(frame.payload.bytes)) {
      frame.payload = Payload();
      const MethodTable::Handler* handler = table.Find(request.service(), request.method());
      if (handler != nullptr) {
        std::string payload = std::move(*request.mutable_payload());
        reply = co_await Run(handler, std::move(payload));
      } else {
        reply = Fail(Code::kUnimplemented, "{}/{} is not implemented", request.service(), request.method());
      }
    }
    out = reply ? Respond(*std::move(reply)) : Respond(reply.error());
    // Send an error instead, since the caller waits for a reply.
    if (out.size() > kMaxPayload) {
      out =
          Respond(Error(Code::kResourceExhausted, fmt::format("the answer to {} has {} bytes, over ttRPC's limit of {}",
                                                              request.method(), out.size(), kMaxPayload)));
    }
  }
  Frame answer{{0, frame.header.stream, FrameType::kResponse, 0}, std::move(out)};
  (void)co_await connection->Send(std::move(answer));
  --*running;
}

bool PeerAllowed(int fd) {
  const auto peer = PeerOf(fd);
  return peer && (peer->uid == 0 || peer->uid == geteuid());
}

asio::awaitable<void> ServeOne(UniqueFd fd, const MethodTable& table) {
  const auto executor = co_await asio::this_coro::executor;
  auto connection = Connection::Create(executor, std::move(fd));
  const Error end = co_await Serve(connection, table);
  log::Debug("a client has gone: {}", end.message());
}

}  // namespace

asio::awaitable<Result<Payload>> MethodTable::Refuse() {
  co_return Fail(Code::kInvalidArgument, "the request is not a valid message");
}

void MethodTable::Add(const std::string& service, const std::string& method, Handler handler) {
  handlers_[service + "/" + method] = std::move(handler);
}

const MethodTable::Handler* MethodTable::Find(const std::string& service, const std::string& method) const {
  const auto found = handlers_.find(service + "/" + method);
  return found == handlers_.end() ? nullptr : &found->second;
}

asio::awaitable<Error> Serve(std::shared_ptr<Connection> connection, const MethodTable& table) {
  const auto executor = co_await asio::this_coro::executor;
  auto running = std::make_shared<size_t>(0);
  while (true) {
    auto frame = co_await connection->Receive();
    if (frame && frame->header.type != FrameType::kRequest) {
      frame = Fail(Code::kInvalidArgument, "the peer sent a frame that is no request");
    }
    if (!frame) {
      connection->Close();
      co_return std::move(frame).error();
    }
    if (*running >= kMaxCallsPerConnection) {
      const Error busy(Code::kResourceExhausted, "too many calls are waiting on this connection");
      Frame out{{0, frame->header.stream, FrameType::kResponse, 0}, Respond(busy)};
      (void)co_await connection->Send(std::move(out));
      continue;
    }
    ++*running;
    asio::co_spawn(executor, Answer(connection, running, table, *std::move(frame)), asio::detached);
  }
}

asio::awaitable<void> ServeUnix(UniqueFd listener, const MethodTable& table, std::shared_ptr<Clients> clients) {
  const auto executor = co_await asio::this_coro::executor;
  if (!clients) clients = std::make_shared<Clients>();
  asio::posix::stream_descriptor acceptor(executor, listener.Release());
  while (UniqueFd peer = co_await AcceptNext(acceptor, SOCK_CLOEXEC | SOCK_NONBLOCK)) {
    if (!PeerAllowed(peer.get())) {
      log::Warn("refused a client of another user");
      continue;
    }
    const auto gone = clients->connections_.emplace(clients->connections_.end(), executor);
    asio::co_spawn(executor, ServeOne(std::move(peer), table), [clients, gone](std::exception_ptr) {
      gone->Happen();
      clients->connections_.erase(gone);
    });
  }
}

asio::awaitable<void> Clients::AwaitGone(std::chrono::milliseconds time) const {
  const auto deadline = std::chrono::steady_clock::now() + time;
  // A copy: connections end meanwhile, and new ones may begin, which do not count.
  const std::list<Event> connections = connections_;
  for (const Event& gone : connections) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    co_await gone.WaitFor(std::max(left, std::chrono::milliseconds(0)));
  }
}

}  // namespace kata::rpc
