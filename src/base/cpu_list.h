// SPDX-License-Identifier: Apache-2.0
// Lists of processors or memory nodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace kata {

// More than any kernel has (NR_CPUS).
inline constexpr uint32_t kMaxListedCpu = 8191;

// The numbers of a list such as "0-3,7" (cpuset(7), "List format"), as they stand there; of an empty text none.
// Nothing: it is malformed, or has a number above kMaxListedCpu.
std::optional<std::vector<uint32_t>> ParseCpuList(std::string_view text);

}  // namespace kata
