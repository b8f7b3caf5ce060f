// SPDX-License-Identifier: Apache-2.0
// The checks of `kata-runtime check` that concern the engines of the host.
#pragma once

#include <vector>

#include "hypervisor/check.h"
#include "setup/engines.h"

namespace kata::setup {

// What an engine of this version lacks. line: what it says of its version.
hypervisor::CheckItem CheckEngine(Engine engine, const std::string& line);

// What the engine's program says of its version: that in PATH, or in one of the usual directories, since the PATH of a
// user often lacks those of daemons. Blocks until the program has ended. Errors of VersionLine
// (hypervisor/program_version.h).
Result<std::string> AskEngine(Engine engine, double timeout_factor);

// One for each engine whose program is found. Blocks until all have told their version.
std::vector<hypervisor::CheckItem> CheckEngines(double timeout_factor);

}  // namespace kata::setup
