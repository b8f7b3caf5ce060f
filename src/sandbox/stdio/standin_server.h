// SPDX-License-Identifier: Apache-2.0
// The stand-ins' side of the sandbox process: takes their connections and the stdio that comes with them.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/coroutine.h"
#include "base/patience.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/stdio/standin_packet.h"
#include "sandbox/stdio/stdio.h"

namespace kata::sandbox {

// One stand-in that has said hello.
class Standin : public std::enable_shared_from_this<Standin> {
 public:
  struct Handlers {
    std::function<void(int signal)> on_signal;
    std::function<void(uint32_t rows, uint32_t columns)> on_resize;
    std::function<void()> on_gone;  // it was killed, or broke the connection
  };

  Standin(const asio::any_io_executor& executor, UniqueFd connection, HelloPacket hello, StdioFds stdio,
          UniqueFd until_end);

  pid_t pid() const { return hello_.standin; }
  const HelloPacket& hello() const { return hello_; }
  // The descriptors of its hello, once.
  StdioFds TakeStdio() { return std::move(stdio_); }
  // The fourth, which its caller wants to be held until the outputs have ended. Not valid: there was none.
  UniqueFd TakeUntilEnd() { return std::move(until_end_); }
  // Begins to pass on what it says.
  void Attach(Handlers handlers);
  // Tells it to exit with this status, and lets it go.
  void SendExit(int status);

 private:
  static asio::awaitable<void> Listen(std::shared_ptr<Standin> self);
  void Handle(const Packet& packet);

  asio::any_io_executor executor_;
  asio::posix::stream_descriptor connection_;
  HelloPacket hello_;
  StdioFds stdio_;
  UniqueFd until_end_;
  Handlers handlers_;
};

// Knows the stand-ins that wait for their Task Create or Exec.
class StandinServer : public std::enable_shared_from_this<StandinServer> {
 public:
  explicit StandinServer(const asio::any_io_executor& executor) : executor_(executor), arrived_(executor) {}

  // Accepts peers that are root or this user, until the executor's context stops.
  static asio::awaitable<void> Serve(std::shared_ptr<StandinServer> self, UniqueFd listener);
  // The stand-in with this pid; its hello may still be under way. It must have named this process. kNotFound: it has
  // not come; kInvalidArgument.
  asio::awaitable<Result<std::shared_ptr<Standin>>> Claim(pid_t pid, std::string container, std::string exec,
                                                          Patience patience);

 private:
  static asio::awaitable<void> Receive(std::shared_ptr<StandinServer> self, UniqueFd connection);
  static asio::awaitable<Result<std::pair<pid_t, Event>>> Register(std::shared_ptr<StandinServer> self,
                                                                   UniqueFd connection);

  struct Waiting {
    std::shared_ptr<Standin> standin;
    Event claimed;
  };

  asio::any_io_executor executor_;
  std::map<pid_t, Waiting> waiting_;
  Event arrived_;           // the next one's arrival; replaced each time
  size_t connections_ = 0;  // that nobody has claimed
};

// A listening SEQPACKET socket at directory/name, mode 0600.
Result<UniqueFd> ListenSeqpacket(int directory, const std::string& name);

}  // namespace kata::sandbox
