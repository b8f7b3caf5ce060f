// SPDX-License-Identifier: Apache-2.0
// Measures the frequency of the host's time stamp counter (TSC). An emulated guest sees this TSC, and would spend 200
// ms of its boot to measure it.
#pragma once

#include <chrono>
#include <cstdint>

namespace kata::hypervisor::qemu {

// Compares the TSC with the clock, from its construction until Khz() is called: the longer, the more precise.
class TscMeter {
 public:
  // The time that gives a precision of about 20 ppm, that of an ordinary clock.
  static constexpr std::chrono::milliseconds kEnough{5};

  TscMeter() : start_(Take()) {}
  std::chrono::nanoseconds elapsed() const { return std::chrono::nanoseconds(Take().nanoseconds - start_.nanoseconds); }
  // In kHz. 0: there is no TSC, or the samples are too imprecise because this process was interrupted.
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
