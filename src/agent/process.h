// SPDX-License-Identifier: Apache-2.0
// One process of a container as the host sees it: its status, its waiters and its stdio.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/container/container.h"
#include "agent/stream.h"
#include "base/coroutine.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// The two sides of a new process's stdio.
struct Pipes {
  ProcessIo child;
  // The agent's ends; none with a terminal.
  UniqueFd stdin_write;
  UniqueFd stdout_read;
  UniqueFd stderr_read;
};

// pipe_size in bytes. 0: the kernel's default for stdin, and what one Read takes for the outputs, since each has its
// price.
Result<Pipes> MakePipes(bool terminal, uint32_t rows, uint32_t columns, uint32_t pipe_size);

// A process from its start until nobody has to know of it any more.
class Process : public std::enable_shared_from_this<Process> {
 public:
  // Takes over a started process, with the agent's ends of its stdio, and waits for its end. Call it under the
  // Reaper::Hold that was there when the process was started. It is killed when this fails.
  static Result<std::shared_ptr<Process>> Adopt(const asio::any_io_executor& executor, StartedProcess started,
                                                Pipes pipes);

  pid_t pid() const { return pid_; }
  bool exited() const { return status_.has_value(); }
  // kNotFound when it has ended.
  Result<> Signal(int signal);
  // The exit code, or 128 + signal; waits for it. Any number of callers.
  asio::awaitable<int> Wait();
  asio::awaitable<Result<OutputStream::Piece>> ReadStdout(size_t length, bool past_exit = false);
  asio::awaitable<Result<OutputStream::Piece>> ReadStderr(size_t length, bool past_exit = false);
  asio::awaitable<Result<>> WriteStdin(std::string data);
  asio::awaitable<Result<>> AwaitStdinClosed();
  void CloseStdin();
  Result<> Resize(uint32_t rows, uint32_t columns);
  // Its status was answered and its output is at the end: nothing is left to ask.
  bool Done() const;
  // Closes the agent's ends, when the container goes.
  void CloseStreams();

 private:
  Process(const asio::any_io_executor& executor, pid_t pid, UniqueFd pidfd);
  static asio::awaitable<void> Watch(std::shared_ptr<Process> self);
  static asio::awaitable<Result<OutputStream::Piece>> ReadFrom(std::shared_ptr<OutputStream> stream, size_t length,
                                                               bool past_exit);

  pid_t pid_;
  UniqueFd pidfd_;
  Condition ended_;
  std::optional<int> status_;
  bool answered_ = false;
  std::shared_ptr<InputStream> stdin_;
  std::shared_ptr<OutputStream> stdout_;
  std::shared_ptr<OutputStream> stderr_;  // none with a terminal
};

}  // namespace kata::agent
