// SPDX-License-Identifier: Apache-2.0
// Reports the failure of a verb.
#pragma once

#include <string>

#include "runtime/arguments.h"

namespace kata::runtime {

// Writes the message to the log and, if the log is a file, also to standard error: engines read the log, users standard
// error.
void Report(const Globals& globals, const std::string& message);

}  // namespace kata::runtime
