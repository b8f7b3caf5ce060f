// SPDX-License-Identifier: Apache-2.0
#include "agent/method.h"

namespace kata::agent {

namespace {

// All Functions share this coroutine, since each coroutine costs about a kilobyte of code.
asio::awaitable<Result<rpc::Payload>> Run(Caller caller, AnyFunction function, Pod& pod, std::string payload) {
  co_return caller(function, pod, payload);
}

}  // namespace

Result<> Parse(google::protobuf::MessageLite& request, const std::string& payload) {
  if (request.ParseFromString(payload)) return {};
  return Fail(Code::kInvalidArgument, "the request is not a valid message");
}

void AddFunction(rpc::MethodTable& table, Pod& pod, const char* name, Caller caller, AnyFunction function) {
  table.Add(contract::kAgentService, name,
            [=, &pod](std::string payload) { return Run(caller, function, pod, std::move(payload)); });
}

}  // namespace kata::agent
