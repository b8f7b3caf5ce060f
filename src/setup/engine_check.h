// SPDX-License-Identifier: Apache-2.0
// The checks of `kata-runtime check` that concern the engines of the host.
#pragma once

#include <vector>

#include "hypervisor/check.h"
#include "setup/engines.h"

namespace kata::setup {

// What an engine of this version lacks. line: what it says of its version.
hypervisor::CheckItem CheckEngine(Engine engine, const std::string& line);

// One for each engine whose program is in PATH. Starts each with --version, and blocks until they end.
std::vector<hypervisor::CheckItem> CheckEngines(double timeout_factor);

}  // namespace kata::setup
