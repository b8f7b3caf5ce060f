// SPDX-License-Identifier: Apache-2.0
// What the program does: the two actions of containerd's runtime v2, and the shim itself.
#pragma once

#include "base/result.h"
#include "shim/arguments.h"

namespace kata::shim {

// The descriptor under which `start` hands the listening socket over.
inline constexpr int kListenerFd = 3;

// `start`, in the bundle's directory: starts the shim of a new sandbox, or finds that of the container's pod, and
// prints its address.
Result<> Start(const Arguments& arguments);

// `delete`, when the shim does not answer: takes away what is left of the container, and prints how it ended
// (DeleteResponse, 137).
Result<> Delete(const Arguments& arguments);

// The shim: serves the Task service until it is told to end. Returns the exit status.
int Serve(const Arguments& arguments);

}  // namespace kata::shim
