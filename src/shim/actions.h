// SPDX-License-Identifier: Apache-2.0
// The program's actions: `start` and `delete` of containerd's runtime v2, and the shim itself.
#pragma once

#include "base/result.h"
#include "shim/arguments.h"

namespace kata::shim {

// The number of the listening socket's descriptor that `start` passes to the shim.
inline constexpr int kListenerFd = 3;

// `start`, called in the bundle's directory: starts the shim of a new sandbox, or finds that of the container's pod,
// and prints the address of its socket.
Result<> Start(const Arguments& arguments);

// `delete`, which containerd calls if the shim does not answer: removes what is left of the container, and prints a
// DeleteResponse with the recorded exit status, or else 137.
Result<> Delete(const Arguments& arguments);

// The shim: serves Task and Sandbox until it is told to end. Returns the exit status.
int Serve(const Arguments& arguments);

}  // namespace kata::shim
