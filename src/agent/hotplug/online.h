// SPDX-License-Identifier: Apache-2.0
// Brings processors and memory online that the host has plugged in.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace kata::agent {

inline constexpr char kMemoryDirectory[] = "/sys/devices/system/memory";

// Brings every offline processor online and returns how many there were. directory: /sys/devices/system/cpu.
Result<uint32_t> OnlineCpus(const std::string& directory);
// The same for memory blocks; directory: kMemoryDirectory. Many kernels bring memory online by themselves.
Result<uint32_t> OnlineMemory(const std::string& directory);

}  // namespace kata::agent
