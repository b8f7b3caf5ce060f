// SPDX-License-Identifier: Apache-2.0
// Outputs of a container's ended processes that others in the container hold open.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <deque>
#include <memory>

#include "sandbox/stdio/stdio.h"

namespace kata::sandbox {

// Knows these outputs and limits their number. Each continues by itself.
class LateOutputs {
 public:
  // Adds an output, unless it has ended. Beyond the limit, the oldest is stopped.
  void Add(std::shared_ptr<Stdio> stdio);
  // Returns when all outputs known now have ended, at the latest after this time.
  asio::awaitable<void> AwaitEnd(std::chrono::milliseconds time) const { return AwaitAll(outputs_, time); }
  // Stops all outputs.
  void Stop();

 private:
  using List = std::deque<std::weak_ptr<Stdio>>;
  static asio::awaitable<void> AwaitAll(List outputs, std::chrono::milliseconds time);

  List outputs_;
};

}  // namespace kata::sandbox
