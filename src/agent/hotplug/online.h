// SPDX-License-Identifier: Apache-2.0
// Processors and memory that the host has plugged in are taken into use.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace kata::agent {

inline constexpr char kMemoryDirectory[] = "/sys/devices/system/memory";

// Takes every processor into use that is not (directory: /sys/devices/system/cpu); returns how many those were.
Result<uint32_t> OnlineCpus(const std::string& directory);
// The same for blocks of memory (kMemoryFolder), which a kernel may do by itself.
Result<uint32_t> OnlineMemory(const std::string& directory);

}  // namespace kata::agent
