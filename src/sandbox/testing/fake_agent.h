// SPDX-License-Identifier: Apache-2.0
// For tests: an agent whose processes exist in memory only, and that speaks real ttRPC over a socket pair.
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
    bool out_closed = false;  // no process in the guest has it open
    bool held = false;        // others hold both outputs, also when the process has ended
    std::array<bool, 2> told_held{};
    bool out_closed_by_host = false;
    std::string in;
    bool stdin_closed = false;
    bool stdin_unread = false;  // no process in the guest has the reading end
    bool ended = false;
    int status = 0;
    uint32_t rows = 0;
  };

  explicit FakeAgent(const asio::any_io_executor& executor);

  // Makes a connection and returns the host's end.
  UniqueFd Connect();
  // Closes all connections, as a guest that dies does.
  void Disconnect();
  // Replaces a method. To be called before Connect.
  template <typename Request, typename Reply>
  void Replace(const std::string& method, std::function<asio::awaitable<Result<Reply>>(Request)> function) {
    table_.Method<Request, Reply>(contract::kAgentService, method, std::move(function));
  }

  // Returns the process, and makes it at the first call. The container's own has the container's id as exec.
  Process& process(const std::string& container, const std::string& exec);
  // Ends the process; what it has written stays readable.
  void End(const std::string& container, const std::string& exec, int status);
  void Write(const std::string& container, const std::string& exec, std::string data);
  // Makes waiting calls look at what a test has changed in a process.
  void Change();

  std::vector<std::string> calls;  // "Method container exec ..."
  bool answers = true;             // false: calls are received and never answered
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
