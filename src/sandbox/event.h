// SPDX-License-Identifier: Apache-2.0
// Something that happens once and that any number of coroutines wait for.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <set>
#include <utility>

namespace kata::sandbox {

namespace asio = boost::asio;

// Copies are the same event. The waiters may outlive everything but the executor.
class Event {
 public:
  explicit Event(const asio::any_io_executor& executor) : state_(std::make_shared<State>()) {
    state_->executor = executor;
  }

  bool happened() const { return state_->happened; }
  void Happen() {
    state_->happened = true;
    for (asio::steady_timer* waiter : state_->waiters) waiter->cancel();
  }

  asio::awaitable<void> Wait() const { return WaitUntil(state_, asio::steady_timer::time_point::max()); }
  // Returns early when it has happened; ask happened() which it was.
  asio::awaitable<void> WaitFor(std::chrono::milliseconds time) const {
    return WaitUntil(state_, asio::steady_timer::clock_type::now() + time);
  }

 private:
  struct State {
    asio::any_io_executor executor;
    bool happened = false;
    std::set<asio::steady_timer*> waiters;
  };

  // A place in the list of waiters, given back also when the loop is torn down while the coroutine waits.
  struct Waiting {
    Waiting(std::shared_ptr<State> of, asio::steady_timer::time_point deadline)
        : state(std::move(of)), timer(state->executor, deadline) {
      state->waiters.insert(&timer);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { state->waiters.erase(&timer); }
    std::shared_ptr<State> state;
    asio::steady_timer timer;
  };

  static asio::awaitable<void> WaitUntil(std::shared_ptr<State> state, asio::steady_timer::time_point deadline) {
    if (state->happened) co_return;
    Waiting waiting(state, deadline);
    co_await waiting.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }

  std::shared_ptr<State> state_;
};

}  // namespace kata::sandbox
