// SPDX-License-Identifier: Apache-2.0
// Durations as Go's programs, runc among them, take them.
#pragma once

#include <chrono>
#include <string_view>

#include "base/result.h"

namespace kata::runtime {

// Parses numbers with units (h, m, s, ms, us, ns), such as "1.5s" or "1m30s"; "0" needs no unit. kInvalidArgument: not
// of this form, negative, or longer than 292 years.
Result<std::chrono::nanoseconds> ParseDuration(std::string_view text);

}  // namespace kata::runtime
