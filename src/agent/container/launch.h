// SPDX-License-Identifier: Apache-2.0
// The agent's side of making a container process: starts stage 1 with its plan, and follows both stages by what they
// say.
#pragma once

#include <sys/types.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

#include "agent/container/container.h"
#include "agent/container/plan.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// A container process that has not executed its command yet. Destroyed before Go has succeeded, it kills the process.
class Launch {
 public:
  // Starts the stages and returns when the process is ready. The descriptors by role stay the caller's. kAborted: it
  // was killed; kDeadlineExceeded: it is not ready after limit.
  static asio::awaitable<Result<std::unique_ptr<Launch>>> Start(asio::any_io_executor executor, Plan plan,
                                                                std::array<int, kRoles> fds,
                                                                std::chrono::seconds limit);
  ~Launch();

  StartedProcess& process() { return process_; }
  // Lets it execute the command; returns when it has, or with the error of the stage.
  asio::awaitable<Result<>> Go();

 private:
  explicit Launch(asio::any_io_executor executor);
  asio::awaitable<Result<Packet>> Receive();
  asio::awaitable<Result<>> AwaitReady();

  struct Socket;
  std::shared_ptr<Socket> socket_;
  UniqueFd stage1_;  // pidfd of a stage 1 that is not the process itself
  StartedProcess process_;
};

}  // namespace kata::agent
