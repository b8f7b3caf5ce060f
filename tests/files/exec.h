// SPDX-License-Identifier: Apache-2.0
// What this program does as a container's first process, and when an area of it executes a copy of it.
#pragma once

#include <span>

namespace kata::files {

// arguments[1]: --pause does nothing for ever; --ids prints the effective user and group and the effective
// capabilities; --wait says on standard output that it runs, and waits for the end of its standard input. Returns the
// exit status.
int ExecHelper(std::span<char*> arguments);

}  // namespace kata::files
