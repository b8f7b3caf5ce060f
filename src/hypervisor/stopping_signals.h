// SPDX-License-Identifier: Apache-2.0
// Keeps the VMM and the file server running when a manager ends all processes of a cgroup by a signal: the containers
// end by it, and need both until then.
#pragma once

#include <functional>

namespace kata::hypervisor {

// For Command::before_exec: the program keeps these signals blocked (StoppingSignals). It ends by SIGKILL.
std::function<bool()> BlockStoppingSignals();

}  // namespace kata::hypervisor
