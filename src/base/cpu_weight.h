// SPDX-License-Identifier: Apache-2.0
// The weight of cgroup version 2 (cpu.weight) for the shares of version 1, in which the runtime-spec counts.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kata {

inline constexpr uint64_t kDefaultCpuShares = 1024;
inline constexpr uint64_t kDefaultCpuWeight = 100;

// 2 to 262144 shares give 1 to 10000, in proportion; values outside of that count as the nearest.
inline uint64_t CpuWeightOf(uint64_t shares) {
  const uint64_t bounded = std::clamp<uint64_t>(shares, 2, 262144);
  return 1 + (bounded - 2) * 9999 / 262142;
}

}  // namespace kata
