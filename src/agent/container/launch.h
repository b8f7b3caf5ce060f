// SPDX-License-Identifier: Apache-2.0
// The agent's side of starting a container process: forks it with its plan (see init.h), and follows its packets on the
// status socket.
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

// A container process that has not executed its command yet. The destructor kills the process unless Go has succeeded.
class Launch {
 public:
  // Forks the process and returns when it is ready to execute its command. The caller keeps ownership of fds and must
  // keep them open until this returns. kAborted: the process ended before it was ready, for example because it was
  // killed. kDeadlineExceeded: it was not ready within limit. Other errors are those that the process reports.
  static asio::awaitable<Result<std::unique_ptr<Launch>>> Start(asio::any_io_executor executor, Plan plan,
                                                                std::array<int, kRoles> fds,
                                                                std::chrono::seconds limit);
  ~Launch();

  StartedProcess& process() { return process_; }
  // Lets the process run its hooks and execute the command. Returns when the process has closed its status socket, by
  // execve(2) or by its death, or returns the error that the process reports.
  asio::awaitable<Result<>> Go();

 private:
  explicit Launch(asio::any_io_executor executor);
  asio::awaitable<Result<Packet>> Receive();
  asio::awaitable<Result<>> AwaitReady();

  struct Socket;
  std::shared_ptr<Socket> socket_;
  UniqueFd stage1_;  // pidfd of stage 1, if that is a process of its own
  StartedProcess process_;
};

}  // namespace kata::agent
