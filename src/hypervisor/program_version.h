// SPDX-License-Identifier: Apache-2.0
// What a program of the host says of its version.
#pragma once

#include <string>

#include "base/result.h"

namespace kata::hypervisor {

// Runs the program, a path or a name in PATH, with --version, and returns the first line of its output. timeout_factor
// scales the 10 s that it may take. kNotFound: there is no such program. kDeadlineExceeded: it has not ended.
Result<std::string> VersionLine(const std::string& program, double timeout_factor);

}  // namespace kata::hypervisor
