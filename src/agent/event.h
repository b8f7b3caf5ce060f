// SPDX-License-Identifier: Apache-2.0
// What coroutines of one event loop wait on for each other: an Event, and a Lock that is fair.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <memory>
#include <utility>

namespace kata::agent {

namespace asio = boost::asio;

// Wakes everyone who waits at the moment of Notify. Whoever waits checks the condition again, in a loop, and keeps the
// Event's owner alive meanwhile.
class Event {
 public:
  explicit Event(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}
  asio::awaitable<void> Wait() { co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable)); }
  void Notify() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

// One holder at a time, in the order of the calls to Acquire.
class Lock {
  struct State {
    explicit State(const asio::any_io_executor& executor) : turn(executor) {}
    Event turn;
    uint64_t next = 0;     // the ticket of the next one to come
    uint64_t serving = 0;  // the ticket of the holder
  };

 public:
  explicit Lock(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

  // Gives the lock back when it goes.
  class Guard {
   public:
    explicit Guard(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Guard(Guard&& other) noexcept = default;
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (!state_) return;
      ++state_->serving;
      state_->turn.Notify();
    }

   private:
    std::shared_ptr<State> state_;
  };

  asio::awaitable<Guard> Acquire() { return AcquireFrom(state_); }

 private:
  static asio::awaitable<Guard> AcquireFrom(std::shared_ptr<State> state) {
    const uint64_t ticket = state->next++;
    while (state->serving != ticket) co_await state->turn.Wait();
    co_return Guard(state);
  }

  std::shared_ptr<State> state_;
};

}  // namespace kata::agent
