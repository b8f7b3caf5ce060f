// SPDX-License-Identifier: Apache-2.0
// Lets a request wait that found the file system full while the guest is giving space back: the space of a file whose
// last name has gone is free when the guest has forgotten and closed it, which it says with requests of their own.
// Another thread may have those in its hands.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace kata::fsd {

// Thread-safe.
class FreedSpace {
 public:
  using Clock = std::chrono::steady_clock;

  // A request waits until `wait` after it has found no space, and not beyond four times that after the last removal.
  explicit FreedSpace(std::chrono::milliseconds wait) : wait_(wait) {}

  // A name of a file has gone.
  void Removed();
  // A file may have been closed.
  void Closed();
  // How many times Closed was called.
  uint64_t closed() const { return closed_; }
  // Waits until Closed has been called more than `since` times; `begin` is when the request found no space first.
  // Whether it has, so that there may be space now; not when its time is over, or nothing has been removed lately:
  // who closes files all the time does not have a request tried without end.
  bool Await(uint64_t since, Clock::time_point begin);

 private:
  const std::chrono::milliseconds wait_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<uint64_t> closed_ = 0;  // changed with the lock held; read by each request
  Clock::time_point removal_{};
};

}  // namespace kata::fsd
