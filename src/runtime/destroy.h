// SPDX-License-Identifier: Apache-2.0
// Removes a container with everything that is left of it, whichever of its processes still work.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/store.h"

namespace kata::runtime {

// Thaws the container's cgroups if they are frozen, ends it, and its sandbox unless other containers go on in it (kills
// its processes if they do not end in time, and the sandbox with all of its containers if it does not answer), runs the
// poststop hooks, and removes the cgroups and the directory. What the record lacks is recovered (recover.h). kNotFound:
// another delete was faster; kFailedPrecondition: the sandbox belongs to a running containerd shim; kDeadlineExceeded:
// a process does not end. In the last case nothing is removed, so that delete can be tried again.
Result<> Destroy(const std::string& root, Record record);

}  // namespace kata::runtime
