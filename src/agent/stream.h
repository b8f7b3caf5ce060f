// SPDX-License-Identifier: Apache-2.0
// The agent's ends of a process's stdio: what it writes is pulled from an OutputStream, what it reads is put into an
// InputStream. docs/kata-agent.md has the rules.
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

// The most bytes that one Read answers.
inline constexpr size_t kMaxRead = contract::kMaxOutputChunk;

// stdout, stderr, or the master of a terminal. Memory is taken only for bytes that are there.
class OutputStream : public std::enable_shared_from_this<OutputStream> {
 public:
  static Result<std::shared_ptr<OutputStream>> Create(const asio::any_io_executor& executor, UniqueFd fd);

  // Waits for data and answers at most min(length, kMaxRead) bytes of it, much of it in a pipe; nothing: the end. It is
  // the end when the stream is, or when the process has exited and the stream is empty; what others still write after
  // that is read and dropped, so that a daemon that an exec left behind does not die of SIGPIPE. length 0 says that the
  // reader has gone: the agent's end is closed, and the process gets SIGPIPE.
  asio::awaitable<Result<rpc::Payload>> Read(size_t length);
  // The process has exited.
  void OnExit();
  // Closes at once.
  void Close();
  // Read has answered the end, or will not be asked.
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
};

// stdin, or the master of a terminal.
class InputStream : public std::enable_shared_from_this<InputStream> {
 public:
  static Result<std::shared_ptr<InputStream>> Create(const asio::any_io_executor& executor, UniqueFd fd, bool terminal);

  // Writes everything, in the order of the calls, waiting for the process to read. kFailedPrecondition when it never
  // will: it has exited or has closed its stdin, or Close was called before.
  asio::awaitable<Result<>> Write(std::string data);
  // The process reads the end after what is being written. A terminal has no end to read: nothing happens, as with
  // runc.
  void Close();
  // The process has exited: writers that wait are sent home.
  void OnExit();
  // TIOCSWINSZ, for a terminal.
  Result<> Resize(uint32_t rows, uint32_t columns);

 private:
  InputStream(const asio::any_io_executor& executor, UniqueFd fd, bool terminal);
  void CloseWhenIdle();

  asio::posix::stream_descriptor stream_;
  Lock turn_;
  bool terminal_;
  int writers_ = 0;
  bool closing_ = false;
  bool exited_ = false;
};

}  // namespace kata::agent
