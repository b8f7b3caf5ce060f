// SPDX-License-Identifier: Apache-2.0
// Recovers the state of a container whose record is missing or damaged.
#pragma once

#include <string>

#include "sandbox/record/state.h"

namespace kata::runtime {

// Fills in what state lacks. A living sandbox process is found through its socket in the directory and verified by its
// command line, which also names the cgroups. If there is none, the cgroups are those that the copy of config.json asks
// for. directory: the sandbox's directory.
void RecoverState(const std::string& id, int directory, sandbox::State& state);

}  // namespace kata::runtime
