// SPDX-License-Identifier: Apache-2.0
#include "fsd/freed_space.h"

#include <algorithm>

namespace kata::fsd {
namespace {

// The guest says that it has forgotten a file at once, and that it has closed one within some 20 ms.
constexpr std::chrono::milliseconds kMoment{200};

}  // namespace

void FreedSpace::Removed() {
  const std::lock_guard lock(mutex_);
  removal_ = Clock::now();
}

void FreedSpace::Closed() {
  {
    const std::lock_guard lock(mutex_);
    ++closed_;
  }
  changed_.notify_all();
}

bool FreedSpace::Await(uint64_t since, Clock::time_point until) {
  std::unique_lock lock(mutex_);
  if (closed_ > since) return true;
  return changed_.wait_until(lock, std::min(until, removal_ + kMoment), [&] { return closed_ > since; });
}

}  // namespace kata::fsd
