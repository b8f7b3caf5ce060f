// SPDX-License-Identifier: Apache-2.0
// One process of a container, as the host's calls address it: its exit status, the calls that wait for it, its stdio.
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

// Both ends of the stdio of a new process.
struct Pipes {
  ProcessIo child;
  // The agent's ends; not valid with a terminal.
  UniqueFd stdin_write;
  UniqueFd stdout_read;
  UniqueFd stderr_read;
};

// Makes the pipes of a new process, or none with a terminal. pipe_size is in bytes; 0: the kernel's default for stdin,
// and kMaxRead for stdout and stderr, so that one Read can return a full pipe.
Result<Pipes> MakePipes(bool terminal, uint32_t rows, uint32_t columns, uint32_t pipe_size);

// A process that has been started. Used from the executor's thread only.
class Process : public std::enable_shared_from_this<Process> {
 public:
  // Takes over a started process and the agent's ends of its stdio, and begins to wait for its exit. The caller must
  // hold a Reaper::Hold from before the process was started until this returns. If this fails, the process is killed.
  static Result<std::shared_ptr<Process>> Adopt(const asio::any_io_executor& executor, StartedProcess started,
                                                Pipes pipes);

  pid_t pid() const { return pid_; }
  bool exited() const { return status_.has_value(); }
  // kNotFound: the process has exited.
  Result<> Signal(int signal);
  // Waits for the exit and returns the exit code, or 128 + the signal; 255 if the status was lost. Any number of
  // callers may wait.
  asio::awaitable<int> Wait();
  // See OutputStream::Read. With a terminal, stdout carries all output and stderr is at its end from the start.
  asio::awaitable<Result<OutputStream::Piece>> ReadStdout(size_t length, bool past_exit = false);
  asio::awaitable<Result<OutputStream::Piece>> ReadStderr(size_t length, bool past_exit = false);
  // See InputStream.
  asio::awaitable<Result<>> WriteStdin(std::string data);
  asio::awaitable<Result<>> AwaitStdinClosed();
  void CloseStdin();
  Result<> Resize(uint32_t rows, uint32_t columns);
  // Whether a Wait has returned the status and all output has been read to its end.
  bool Done() const;
  // Closes the agent's ends of stdio; called when the container is removed.
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
  bool answered_ = false;  // a Wait has returned the status
  std::shared_ptr<InputStream> stdin_;
  std::shared_ptr<OutputStream> stdout_;
  std::shared_ptr<OutputStream> stderr_;  // null with a terminal
};

}  // namespace kata::agent
