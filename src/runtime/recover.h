// SPDX-License-Identifier: Apache-2.0
// Finds out about a container whose record is missing or damaged.
#pragma once

#include <string>

#include "sandbox/record/state.h"

namespace kata::runtime {

// Fills in what the record does not say. A sandbox process that still lives is found by its socket in the directory,
// and known for certain by its command line, which also names its cgroups; without one the container's own cgroup is
// looked for where the bundle wants it.
void RecoverState(const std::string& id, int directory, sandbox::State& state);

}  // namespace kata::runtime
