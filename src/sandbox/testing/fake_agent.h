// SPDX-License-Identifier: Apache-2.0
// For tests: an agent that keeps its processes in memory and speaks real ttRPC over a socket pair.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "protocol/agent.pb.h"
#include "protocol/guest_contract.h"
#include "protocol/health.pb.h"
#include "protocol/wkt.pb.h"
#include "rpc/server.h"

namespace kata::sandbox::testing {

class FakeAgent {
 public:
  struct Process {
    std::deque<std::string> out;  // chunks still to be read
    std::deque<std::string> err;
    bool out_closed = false;  // by all in the guest
    bool held = false;        // both outputs, by others, also when the process has ended
    std::array<bool, 2> told_held{};
    bool out_closed_by_host = false;
    std::string in;
    bool stdin_closed = false;
    bool stdin_unread = false;  // nobody in the guest has the reading end any more
    bool ended = false;
    int status = 0;
    uint32_t rows = 0;
  };

  explicit FakeAgent(const asio::any_io_executor& executor);

  // A new connection, the host's end.
  UniqueFd Connect();
  // Breaks what is connected, as a guest that dies does.
  void Disconnect();
  // Replaces a method; before Connect.
  template <typename Request, typename Reply>
  void Replace(const std::string& method, std::function<asio::awaitable<Result<Reply>>(Request)> function) {
    table_.Method<Request, Reply>(contract::kAgentService, method, std::move(function));
  }

  // The process, made when it is asked for the first time; the container's own has its id as exec.
  Process& process(const std::string& container, const std::string& exec);
  // Ends it; what it has written stays readable.
  void End(const std::string& container, const std::string& exec, int status);
  void Write(const std::string& container, const std::string& exec, std::string data);
  // Looks again at what a test has changed in a process.
  void Change();

  std::vector<std::string> calls;  // "Method container exec ..."
  bool answers = true;             // false: calls are taken and never answered
  // The error of CreateContainer and ExecProcess, when not empty.
  std::string create_error;
  grpc::CreateContainerRequest created;

 private:
  template <typename Request>
  void On(const char* method, std::function<Result<>(const Request&)> function);
  asio::awaitable<Result<grpc::ReadStreamResponse>> Read(grpc::ReadStreamRequest request, bool err);
  asio::awaitable<Result<grpc::WaitProcessResponse>> Wait(grpc::WaitProcessRequest request);
  // Waits until something has changed.
  asio::awaitable<void> Changed();

  asio::any_io_executor executor_;
  rpc::MethodTable table_;
  std::map<std::string, Process> processes_;
  std::vector<std::shared_ptr<rpc::Connection>> connections_;
  Event changed_;
};

}  // namespace kata::sandbox::testing
