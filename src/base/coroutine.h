// SPDX-License-Identifier: Apache-2.0
// Synchronization between coroutines of one event loop: Event, Condition, Lock. None of them is thread-safe.
//
// Lifetimes. A coroutine outlives the statement that starts it, and may outlive the object that started it. So:
// - A coroutine takes its parameters by value. It owns what it uses after its first suspension: a shared_ptr or a copy.
// - A member function that is spawned (asio::co_spawn) is static and takes `self`, a shared_ptr to its object.
// - A member function that is only awaited may use `this` if the awaiting coroutine keeps the object alive.
// - A coroutine may hold references to objects that live until the event loop has stopped: the agent's Pod, a process's
//   method table.
// - A lambda with captures must not be a coroutine: the captures are destroyed with the lambda, at the end of the
//   statement. Pass them as parameters.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>

namespace kata {

namespace asio = boost::asio;

// Completion token that returns the error instead of throwing: `auto [error, ...] = co_await x.async_wait(kAwait)`.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// An event that happens once, and for which any number of coroutines may wait. Copies share one event. Waiting
// coroutines may outlive the Event, but not the executor.
class Event {
 public:
  explicit Event(const asio::any_io_executor& executor) : state_(std::make_shared<State>()) {
    state_->executor = executor;
  }

  const asio::any_io_executor& executor() const { return state_->executor; }
  bool happened() const { return state_->happened; }
  void Happen() {
    state_->happened = true;
    for (asio::steady_timer* waiter : state_->waiters) waiter->cancel();
  }

  asio::awaitable<void> Wait() const { return WaitUntil(state_, asio::steady_timer::time_point::max()); }
  // Returns when the event has happened or the time is over; happened() tells which.
  asio::awaitable<void> WaitFor(std::chrono::milliseconds time) const {
    return WaitUntil(state_, asio::steady_timer::clock_type::now() + time);
  }

 private:
  struct State {
    asio::any_io_executor executor;
    bool happened = false;
    std::set<asio::steady_timer*> waiters;
  };

  // Registers a timer as a waiter. The destructor also runs when the loop destroys a coroutine that still waits.
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
    co_await waiting.timer.async_wait(kAwait);
  }

  std::shared_ptr<State> state_;
};

// A condition variable: Notify wakes all coroutines that wait at that moment. A waiter checks its predicate again, in a
// loop, and keeps the Condition alive while it waits.
class Condition {
 public:
  explicit Condition(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}
  asio::awaitable<void> Wait() { co_await timer_.async_wait(kAwait); }
  void Notify() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

// A fair mutex: coroutines get it in the order of their calls of Acquire. Waiting coroutines may outlive the Lock.
class Lock {
  struct State {
    explicit State(const asio::any_io_executor& executor) : turn(executor, asio::steady_timer::time_point::max()) {}
    asio::steady_timer turn;  // never expires; a release cancels it, and every waiter compares its ticket again
    uint64_t next = 0;        // the ticket of the next caller of Acquire
    uint64_t serving = 0;     // the ticket of the holder
  };

 public:
  explicit Lock(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

  // Holds the lock; the destructor releases it.
  class [[nodiscard]] Guard {
   public:
    explicit Guard(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Guard(Guard&& other) noexcept = default;
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (!state_) return;
      ++state_->serving;
      state_->turn.cancel();
    }

   private:
    std::shared_ptr<State> state_;
  };

  asio::awaitable<Guard> Acquire() { return AcquireFrom(state_); }

 private:
  static asio::awaitable<Guard> AcquireFrom(std::shared_ptr<State> state) {
    const uint64_t ticket = state->next++;
    while (state->serving != ticket) {
      co_await state->turn.async_wait(kAwait);
    }
    co_return Guard(state);
  }

  std::shared_ptr<State> state_;
};

}  // namespace kata
