// SPDX-License-Identifier: Apache-2.0
// The Task service of a shim: the sandbox's own, which begins with the first Create.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/shim.pb.h"
#include "rpc/server.h"
#include "sandbox/mount_namespace.h"
#include "sandbox/sandbox.h"
#include "sandbox/task_service.h"
#include "shim/publisher.h"

namespace kata::shim {

// What a shim process is made with.
struct ShimParts {
  std::string id;  // the sandbox's
  std::string namespace_name;
  bool debug = false;
  UniqueFd directory;  // ROOT/ID, opened in this process's own mount namespace
  sandbox::MountNamespaces mounts;
  std::shared_ptr<Publisher> publisher;
};

class ShimService {
 public:
  ShimService(const asio::any_io_executor& executor, ShimParts parts);

  const rpc::MethodTable& table() const { return table_; }
  // Returns when the shim is to end: its sandbox has ended and Shutdown was called.
  asio::awaitable<void> Run();
  // Ends the sandbox in order, and with it the shim, as for SIGTERM.
  void RequestEnd();

 private:
  asio::awaitable<Result<std::string>> Call(std::string method, std::string payload);
  Result<> Begin(const containerd::task::v2::CreateTaskRequest& request);
  // What is answered before there is a sandbox.
  Result<std::string> AnswerWithoutSandbox(const std::string& method, const std::string& payload);
  static asio::awaitable<void> RunSandbox(std::shared_ptr<sandbox::Sandbox> sandbox, sandbox::Event ended);

  asio::any_io_executor executor_;
  ShimParts parts_;
  rpc::MethodTable table_;
  std::shared_ptr<sandbox::Sandbox> sandbox_;
  std::unique_ptr<sandbox::TaskService> task_;
  sandbox::Event begun_;  // there is a sandbox, or there will be none
  sandbox::Event ended_;  // the sandbox has ended
  bool end_requested_ = false;
};

}  // namespace kata::shim
