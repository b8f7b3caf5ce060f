// SPDX-License-Identifier: Apache-2.0
// What the coroutines of one event loop wait on for each other: Event, Condition, Lock. None of them is for threads.
//
// Lifetimes. A coroutine outlives the statement that starts it, and may outlive everything that started it. So:
// - it takes its parameters by value, and what it uses after its first suspension it owns: a shared_ptr, a copy;
// - a member function that is spawned (asio::co_spawn) is static and takes `self`, a shared_ptr to its object;
// - one that is only awaited may use `this`, when the one that awaits it keeps the object;
// - what lives until the event loop has stopped may be referred to: the agent's Pod, a process's table of services;
// - a lambda with captures is no coroutine: its captures end with the statement. Pass them as parameters.
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

// As completion token: `auto [error, ...] = co_await x.async_wait(kAwait)` does not throw.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// Something that happens once and that any number of coroutines wait for.
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
    co_await waiting.timer.async_wait(kAwait);
  }

  std::shared_ptr<State> state_;
};

// Wakes everyone who waits at the moment of Notify. Whoever waits checks the condition again, in a loop, and keeps the
// Condition's owner alive meanwhile.
class Condition {
 public:
  explicit Condition(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}
  asio::awaitable<void> Wait() { co_await timer_.async_wait(kAwait); }
  void Notify() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

// A mutex, fair: it is had in the order in which it was asked for.
// One holder at a time. The coroutines that wait may outlive it.
class Lock {
  struct State {
    explicit State(const asio::any_io_executor& executor) : turn(executor, asio::steady_timer::time_point::max()) {}
    asio::steady_timer turn;  // never expires; cancelled when a holder has ended, for all to look again
    uint64_t next = 0;        // the ticket of the next one to come
    uint64_t serving = 0;     // the ticket of the holder
  };

 public:
  explicit Lock(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

  // Gives the lock back when it goes.
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
