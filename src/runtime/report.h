// SPDX-License-Identifier: Apache-2.0
// How a verb that failed says so.
#pragma once

#include <string>

#include "runtime/arguments.h"

namespace kata::runtime {

// To the log, and to standard error as well where the log is a file: engines read the one, people the other.
void Report(const Globals& globals, const std::string& message);

}  // namespace kata::runtime
