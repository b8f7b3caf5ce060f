// SPDX-License-Identifier: Apache-2.0
// Runs coroutines from plain test code.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "base/coroutine.h"

namespace kata::agent {

// A fixture with an event loop.
class EventLoopTest : public ::testing::Test {
 protected:
  asio::any_io_executor executor() { return context_.get_executor(); }

  // Runs the loop until the coroutine has ended.
  template <typename T>
  T Run(asio::awaitable<T> work) {
    std::optional<T> result;
    Start(std::move(work), result);
    RunUntil([&] { return result.has_value(); });
    return *std::move(result);
  }

  // Starts a coroutine and stores its value in result when it ends.
  template <typename T>
  void Start(asio::awaitable<T> work, std::optional<T>& result) {
    asio::co_spawn(context_, std::move(work), [&result](std::exception_ptr error, T value) {
      if (error) std::rethrow_exception(error);
      result = std::move(value);
    });
  }

  // Runs the loop until the condition holds; gives up after a minute.
  template <typename Condition>
  void RunUntil(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it never came";
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(100));
    }
  }

  // Runs the handlers that are ready, without waiting.
  void RunReady() {
    context_.restart();
    context_.poll();
  }

 private:
  asio::io_context context_;
};

}  // namespace kata::agent
