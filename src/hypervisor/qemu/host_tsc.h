// SPDX-License-Identifier: Apache-2.0
// The frequency of the host's time stamp counter, which an emulated guest sees and would spend 200 ms to measure.
#pragma once

#include <chrono>
#include <cstdint>

namespace kata::hypervisor::qemu {

// Compares the counter with the clock from its construction on: the longer, the better.
class TscMeter {
 public:
  // How long the comparison has to last to be good to some 20 ppm, as an ordinary clock is.
  static constexpr std::chrono::milliseconds kEnough{5};

  TscMeter() : start_(Take()) {}
  std::chrono::nanoseconds elapsed() const { return std::chrono::nanoseconds(Take().nanoseconds - start_.nanoseconds); }
  // In kHz; 0 when there is no such counter, or this process was interrupted too often to tell.
  uint32_t Khz() const;

 private:
  struct Sample {
    int64_t nanoseconds = 0;
    uint64_t ticks = 0;
    int64_t uncertainty = 0;  // nanoseconds
  };
  static Sample Take();

  Sample start_;
};

}  // namespace kata::hypervisor::qemu
