// SPDX-License-Identifier: Apache-2.0
// Names and numbers of signals.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace kata::oci {

// "TERM", "SIGTERM", "sigterm", "15", "RTMIN+1", "SIGRTMAX-2" to a number of 1 to 64, as signal(7) numbers them for
// programs (SIGRTMIN is 34). kInvalidArgument.
Result<int> ParseSignal(std::string_view text);

// "SIGTERM"; "SIGRTMIN+1"; the number, when it has no name.
std::string SignalName(int signal);

}  // namespace kata::oci
