// SPDX-License-Identifier: Apache-2.0
// The sandbox process's end of the stand-in connections: accepts them and receives the stdio that stand-ins pass.
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

// A stand-in whose hello has been received.
class Standin : public std::enable_shared_from_this<Standin> {
 public:
  struct Handlers {
    std::function<void(int signal, bool all)> on_signal;
    std::function<void(uint32_t rows, uint32_t columns)> on_resize;
    std::function<void()> on_gone;  // it was killed, or closed the connection
  };

  Standin(const asio::any_io_executor& executor, UniqueFd connection, HelloPacket hello, StdioFds stdio,
          UniqueFd until_end);

  pid_t pid() const { return hello_.standin; }
  const HelloPacket& hello() const { return hello_; }
  // The descriptors of its hello. To be called once.
  StdioFds TakeStdio() { return std::move(stdio_); }
  // The fourth descriptor, to be held until the outputs have ended. Not valid: there was none.
  UniqueFd TakeUntilEnd() { return std::move(until_end_); }
  // Starts to pass the stand-in's packets to the handlers. To be called once.
  void Attach(Handlers handlers);
  // Tells the stand-in to exit with this status, and closes the connection. No handler is called any more.
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

// Accepts stand-ins and keeps them until a Task Create or Exec claims them.
class StandinServer : public std::enable_shared_from_this<StandinServer> {
 public:
  explicit StandinServer(const asio::any_io_executor& executor) : executor_(executor), arrived_(executor) {}

  // Accepts stand-ins of root or this user, until the executor's context stops.
  static asio::awaitable<void> Serve(std::shared_ptr<StandinServer> self, UniqueFd listener);
  // Returns the stand-in with this pid, and waits for its hello. kNotFound: it sent none in time. kInvalidArgument: its
  // hello names another process.
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
  Event arrived_;           // the arrival of the next stand-in; replaced each time
  size_t connections_ = 0;  // that have not been claimed
};

// Listens on a SEQPACKET socket at directory/name, mode 0600. Replaces an old one.
Result<UniqueFd> ListenSeqpacket(int directory, const std::string& name);

}  // namespace kata::sandbox
