// SPDX-License-Identifier: Apache-2.0
// A mutex for the coroutines of one event loop, fair: it is had in the order in which it was asked for.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <memory>
#include <utility>

namespace kata {

// One holder at a time. The coroutines that wait may outlive it.
class Lock {
  struct State {
    explicit State(const boost::asio::any_io_executor& executor)
        : turn(executor, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer turn;  // never expires; cancelled when a holder has ended, for all to look again
    uint64_t next = 0;               // the ticket of the next one to come
    uint64_t serving = 0;            // the ticket of the holder
  };

 public:
  explicit Lock(const boost::asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

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

  boost::asio::awaitable<Guard> Acquire() { return AcquireFrom(state_); }

 private:
  static boost::asio::awaitable<Guard> AcquireFrom(std::shared_ptr<State> state) {
    const uint64_t ticket = state->next++;
    while (state->serving != ticket) {
      co_await state->turn.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    co_return Guard(state);
  }

  std::shared_ptr<State> state_;
};

}  // namespace kata
