// SPDX-License-Identifier: Apache-2.0
// The agent's ends of a process's stdio: the host pulls the process's output from an OutputStream and pushes its input
// into an InputStream. docs/kata-agent.md, "Stdio", has the rules. Both are used from the executor's thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "base/coroutine.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/guest_contract.h"
#include "rpc/payload.h"

namespace kata::agent {

namespace asio = boost::asio;

// The most bytes that one Read returns.
inline constexpr size_t kMaxRead = contract::kMaxOutputChunk;

// stdout, stderr, or the master of a terminal. No buffer is held while a Read waits for data.
class OutputStream : public std::enable_shared_from_this<OutputStream> {
 public:
  // Makes fd non-blocking and takes it over.
  static Result<std::shared_ptr<OutputStream>> Create(const asio::any_io_executor& executor, UniqueFd fd);

  // The result of a Read. Empty data means end of stream, unless held is set.
  struct Piece {
    rpc::Payload data;
    bool held = false;  // the process has exited, but other processes have the stream open
  };

  // Waits for data and returns at most min(length, kMaxRead) bytes. More than 4 KiB of a pipe's data are returned in
  // Payload::tail, uncopied. length 0 says that the reader has gone: the agent's end is closed, and a process that
  // still writes gets SIGPIPE.
  //
  // With past_exit, the stream ends when no process has it open any more. If the process has exited and its output has
  // been read, but other processes still have the stream open, one Read returns `held`; later ones return what those
  // processes write. This is for pipes only: the kernel hangs a terminal up when its session leader exits.
  //
  // Without past_exit, the stream also ends when the process has exited and the stream is empty. Anything that other
  // processes write later is read and dropped.
  asio::awaitable<Result<Piece>> Read(size_t length, bool past_exit = false);
  // Tells the stream that the process has exited; a waiting Read looks at the stream again.
  void OnExit();
  // Closes the agent's end at once; a waiting Read returns end of stream.
  void Close();
  // Whether a Read has returned end of stream, or the stream was closed.
  bool finished() const { return finished_; }

 private:
  enum class Outcome { kData, kEnd, kHangup, kNothing };
  OutputStream(const asio::any_io_executor& executor, UniqueFd fd);
  Outcome ReadNow(size_t length, rpc::Payload& data);
  bool Divert(size_t length, rpc::Piped& data);
  asio::awaitable<void> AwaitHangup();
  static asio::awaitable<void> Drain(std::shared_ptr<OutputStream> self);

  asio::posix::stream_descriptor stream_;
  asio::steady_timer hangup_;
  bool is_pipe_;
  bool exited_ = false;
  bool finished_ = false;
  bool told_held_ = false;  // a Read has returned `held`
};

// stdin, or the master of a terminal.
class InputStream : public std::enable_shared_from_this<InputStream> {
 public:
  // Makes fd non-blocking and takes it over.
  static Result<std::shared_ptr<InputStream>> Create(const asio::any_io_executor& executor, UniqueFd fd, bool terminal);

  // Writes all of data, in the order of the calls; waits while the process does not read. kFailedPrecondition: the
  // process has exited or closed its stdin, or Close was called before.
  asio::awaitable<Result<>> Write(std::string data);
  // Closes the agent's end after the writes in progress, so that the process reads end of file. Does nothing for a
  // terminal, as runc.
  void Close();
  // Returns when no process has the read end open any more, or the process has exited. The agent's end is closed then,
  // after the writes in progress. kFailedPrecondition: the stream is a terminal.
  asio::awaitable<Result<>> AwaitClosed();
  // Tells the stream that the process has exited; waiting writes fail.
  void OnExit();
  // Sets the window size (TIOCSWINSZ). kFailedPrecondition: no terminal. kInvalidArgument: larger than 65535.
  // kNotFound: the process has exited.
  Result<> Resize(uint32_t rows, uint32_t columns);

 private:
  InputStream(const asio::any_io_executor& executor, UniqueFd fd, bool terminal);
  void CloseWhenIdle();

  asio::posix::stream_descriptor stream_;
  Lock turn_;  // keeps the writes in order
  bool terminal_;
  int writers_ = 0;       // writes in progress
  bool closing_ = false;  // close after the writes in progress
  bool exited_ = false;
};

}  // namespace kata::agent
