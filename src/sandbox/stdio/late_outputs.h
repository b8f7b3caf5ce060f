// SPDX-License-Identifier: Apache-2.0
// Outputs of a container's processes that have ended, which others in the container still have open.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <deque>
#include <memory>

#include "sandbox/stdio/stdio.h"

namespace kata::sandbox {

// They go on by themselves; this only knows them, and bounds their number.
class LateOutputs {
 public:
  // One that has ended is not kept. Where there are too many, the oldest is stopped.
  void Add(std::shared_ptr<Stdio> stdio);
  // Returns when all that are known now have ended, at the latest after this time.
  asio::awaitable<void> AwaitEnd(std::chrono::milliseconds time) const { return AwaitAll(outputs_, time); }
  void Stop();

 private:
  using List = std::deque<std::weak_ptr<Stdio>>;
  static asio::awaitable<void> AwaitAll(List outputs, std::chrono::milliseconds time);

  List outputs_;
};

}  // namespace kata::sandbox
