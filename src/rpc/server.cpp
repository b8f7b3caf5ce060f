// SPDX-License-Identifier: Apache-2.0
#include "rpc/server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>

#include "protocol/ttrpc.pb.h"

namespace kata::rpc {
namespace {

// Runs one handler. The house has no exceptions, but memory can run out, and then one call fails and not the process.
asio::awaitable<Result<std::string>> Run(const MethodTable::Handler* handler, std::string payload) {
  try {
    co_return co_await (*handler)(std::move(payload));
  } catch (const std::exception& e) {
    co_return Fail(Code::kInternal, "{}", e.what());
  }
}

asio::awaitable<void> Answer(std::shared_ptr<Connection> connection, std::shared_ptr<size_t> running,
                             const MethodTable& table, Frame frame) {
  ttrpc::Response response;
  {
    ttrpc::Request request;
    Result<std::string> reply = Fail(Code::kInvalidArgument, "the request is not a valid ttRPC message");
    if (request.ParseFromString(frame.payload)) {
      frame.payload = std::string();
      const MethodTable::Handler* handler = table.Find(request.service(), request.method());
      if (handler != nullptr) {
        std::string payload = std::move(*request.mutable_payload());
        reply = co_await Run(handler, std::move(payload));
      } else {
        reply = Fail(Code::kUnimplemented, "{}/{} is not implemented", request.service(), request.method());
      }
    }
    if (reply) {
      response.set_payload(*std::move(reply));
    } else {
      response.mutable_status()->set_code(static_cast<int>(reply.error().code()));
      response.mutable_status()->set_message(reply.error().message());
    }
  }
  Frame out{{0, frame.header.stream, FrameType::kResponse, 0}, response.SerializeAsString()};
  (void)co_await connection->Send(std::move(out));
  --*running;
}

}  // namespace

asio::awaitable<Result<std::string>> MethodTable::Refuse() {
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
      ttrpc::Response busy;
      busy.mutable_status()->set_code(static_cast<int>(Code::kResourceExhausted));
      busy.mutable_status()->set_message("too many calls are waiting on this connection");
      Frame out{{0, frame->header.stream, FrameType::kResponse, 0}, busy.SerializeAsString()};
      (void)co_await connection->Send(std::move(out));
      continue;
    }
    ++*running;
    asio::co_spawn(executor, Answer(connection, running, table, *std::move(frame)), asio::detached);
  }
}

}  // namespace kata::rpc
