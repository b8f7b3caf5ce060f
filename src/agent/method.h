// SPDX-License-Identifier: Apache-2.0
// Adds handlers, which are plain functions of a Pod and a request, to the table of ttRPC methods.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "agent/pod.h"
#include "base/log.h"
#include "protocol/guest_contract.h"
#include "protocol/wkt.pb.h"
#include "rpc/server.h"

namespace kata::agent {

using wkt::Empty;

// A handler that suspends.
template <typename Request, typename Reply>
using Coroutine = asio::awaitable<Result<Reply>> (*)(Pod&, Request);
// A handler that never suspends.
template <typename Request, typename Reply>
using Function = Result<Reply> (*)(Pod&, const Request&);

// A Function with its types erased, and the Caller that restores them: Caller parses payload, calls the function and
// serializes its reply.
using AnyFunction = void (*)();
using Caller = Result<std::string> (*)(AnyFunction, Pod&, const std::string& payload);
void AddFunction(rpc::MethodTable& table, Pod& pod, const char* name, Caller caller, AnyFunction function);
// kInvalidArgument: payload is no valid message of this type.
Result<> Parse(google::protobuf::MessageLite& request, const std::string& payload);

template <typename Request, typename Reply>
Result<std::string> CallFunction(AnyFunction function, Pod& pod, const std::string& payload) {
  Request request;
  TRY(Parse(request, payload));
  const Result<Reply> reply = reinterpret_cast<Function<Request, Reply>>(function)(pod, request);
  if (!reply) return tl::unexpected<Error>(reply.error());
  return reply->SerializeAsString();
}

// Both forms of Add add the method name of grpc.AgentService. pod must outlive the table and its calls.
template <typename Request, typename Reply>
void Add(rpc::MethodTable& table, Pod& pod, const char* name, Coroutine<Request, Reply> handler) {
  table.Method<Request, Reply>(contract::kAgentService, name,
                               [&pod, handler](Request request) { return handler(pod, std::move(request)); });
}

template <typename Request, typename Reply>
void Add(rpc::MethodTable& table, Pod& pod, const char* name, Function<Request, Reply> handler) {
  AddFunction(table, pod, name, CallFunction<Request, Reply>, reinterpret_cast<AnyFunction>(handler));
}

// The reply of a handler that answers Empty: `return Done(result);`.
inline Result<Empty> Done(Result<> result) {
  if (!result) return tl::unexpected<Error>(std::move(result).error());
  return Empty();
}

}  // namespace kata::agent
