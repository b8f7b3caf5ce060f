// SPDX-License-Identifier: Apache-2.0
#include "fsd/freed_space.h"

#include <algorithm>

namespace kata::fsd {

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

bool FreedSpace::Await(uint64_t since, Clock::time_point begin) {
  std::unique_lock lock(mutex_);
  const auto until = std::min(begin + wait_, removal_ + 4 * wait_);
  if (Clock::now() >= until) return false;
  return changed_.wait_until(lock, until, [&] { return closed_ > since; });
}

}  // namespace kata::fsd
