// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/host_tsc.h"

#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <cmath>

namespace kata::hypervisor::qemu {
namespace {

// The largest acceptable error. A guest's clock with a larger error would drift noticeably.
constexpr double kMaxError = 100e-6;

int64_t Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

uint64_t Ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return 0;
#endif
}

}  // namespace

TscMeter::Sample TscMeter::Take() {
  Sample best;
  for (int i = 0; i < 8; ++i) {
    const int64_t before = Now();
    const uint64_t ticks = Ticks();
    const int64_t after = Now();
    const Sample sample = {before + (after - before) / 2, ticks, after - before};
    if (i == 0 || sample.uncertainty < best.uncertainty) best = sample;
  }
  return best;
}

uint32_t TscMeter::Khz() const {
  const Sample end = Take();
  const auto elapsed = static_cast<double>(end.nanoseconds - start_.nanoseconds);
  const auto ticks = static_cast<double>(end.ticks - start_.ticks);
  if (elapsed <= 0 || static_cast<double>(start_.uncertainty + end.uncertainty) / 2 > elapsed * kMaxError) return 0;
  const double khz = std::round(ticks / elapsed * 1e6);
  // Outside of this range it is not the frequency of a real CPU, or the counter has stopped.
  return khz >= 100e3 && khz <= 10e6 ? static_cast<uint32_t>(khz) : 0;
}

}  // namespace kata::hypervisor::qemu
