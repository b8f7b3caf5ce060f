// SPDX-License-Identifier: Apache-2.0
// The logger programs that receive the output of processes (binary:// URIs).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <list>
#include <memory>
#include <string>

#include "base/child.h"
#include "base/coroutine.h"

namespace kata::shim {

namespace asio = boost::asio;

// Owns the running loggers and reaps them. A logger exits by itself when it has read the end of the output and written
// its last lines. Not thread-safe.
class Loggers : public std::enable_shared_from_this<Loggers> {
 public:
  explicit Loggers(const asio::any_io_executor& executor) : executor_(executor) {}

  // exec: empty for the container's first process.
  void Add(std::string container, std::string exec, Child program);
  // Waits for the end of this process's logger; the caller must have closed the outputs before. After 10 seconds the
  // logger gets SIGTERM, and 2 seconds later SIGKILL.
  asio::awaitable<void> Finish(std::string container, std::string exec);
  // As Finish, for all remaining loggers at the same time.
  asio::awaitable<void> FinishAll();

 private:
  struct Logger {
    std::string container;
    std::string exec;
    Child program;
    Event ended;
  };

  static asio::awaitable<void> Watch(std::shared_ptr<Loggers> self, std::shared_ptr<Logger> logger);
  static asio::awaitable<void> End(std::shared_ptr<Logger> logger);

  asio::any_io_executor executor_;
  std::list<std::shared_ptr<Logger>> running_;
};

}  // namespace kata::shim
