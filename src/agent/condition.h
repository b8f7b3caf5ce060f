// SPDX-License-Identifier: Apache-2.0
// What coroutines of one event loop wait on for each other.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kata::agent {

namespace asio = boost::asio;

// Wakes everyone who waits at the moment of Notify. Whoever waits checks the condition again, in a loop, and keeps the
// Condition's owner alive meanwhile.
class Condition {
 public:
  explicit Condition(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}
  asio::awaitable<void> Wait() { co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable)); }
  void Notify() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

}  // namespace kata::agent
