// SPDX-License-Identifier: Apache-2.0
// The programs that take the output of processes (binary://).
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

// Keeps them until they end by themselves, which they do when they have read the end of the output and written their
// last lines, and reaps them.
class Loggers : public std::enable_shared_from_this<Loggers> {
 public:
  explicit Loggers(const asio::any_io_executor& executor) : executor_(executor) {}

  // exec: empty for the container's own process.
  void Add(std::string container, std::string exec, Child program);
  // Returns when the logger of this process has ended, which must have been told its end. One that goes on for long is
  // asked to end, then killed.
  asio::awaitable<void> Finish(std::string container, std::string exec);
  // The same for all that are left.
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
