// SPDX-License-Identifier: Apache-2.0
// Names and numbers of signals.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace kata::oci {

// Converts "TERM", "SIGTERM", "sigterm", "15", "RTMIN+1" or "SIGRTMAX-2" to a number of 1 to 64. SIGRTMIN is 34, as in
// programs that use glibc (signal(7)). kInvalidArgument: no such signal.
Result<int> ParseSignal(std::string_view text);

// "SIGTERM" or "SIGRTMIN+1"; the decimal number if the signal has no name.
std::string SignalName(int signal);

}  // namespace kata::oci
