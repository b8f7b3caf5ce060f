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

  // What a read answers. No data is the end, unless others hold the stream.
  struct Piece {
    rpc::Payload data;
    bool held = false;
  };

  // Waits for data and answers at most min(length, kMaxRead) bytes of it, much of it in a pipe. length 0 says that the
  // reader has gone: the agent's end is closed, and whoever still writes gets SIGPIPE.
  //
  // past_exit: it is the end when nobody has the stream open any more. When the process has exited and what it had
  // written has been read, but others hold the stream, `held` says so, once. Of a terminal nothing is left then: the
  // kernel hangs it up with the leader of its session.
  // Otherwise it is the end also when the process has exited and the stream is empty; what others write after that is
  // read and dropped.
  asio::awaitable<Result<Piece>> Read(size_t length, bool past_exit = false);
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
  bool told_held_ = false;
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
  // Returns when nobody has the reading end any more, or the process has exited; then this end is closed.
  // kFailedPrecondition for a terminal.
  asio::awaitable<Result<>> AwaitClosed();
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
