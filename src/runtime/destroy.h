// SPDX-License-Identifier: Apache-2.0
// Taking a container away with all that is left of it, whichever of its parts still work.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/store.h"

namespace kata::runtime {

// Ends the sandbox (its processes are killed if it does not end at once, and thawed where somebody has frozen their
// cgroups), runs the poststop hooks, and removes cgroups and directory. Where the record does not say what there is, it
// is found out (recover.h). kNotFound, "container does not exist", when another delete was faster; kDeadlineExceeded
// when a process does not end: then nothing is removed, so that another delete can try again.
Result<> Destroy(const std::string& root, Record record);

}  // namespace kata::runtime
