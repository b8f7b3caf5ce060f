// SPDX-License-Identifier: Apache-2.0
// Port forwarding: a process that carries bytes between its stdio and a TCP port of the guest's own loopback.
#pragma once

#include <cstdint>
#include <functional>

#include "agent/container/container.h"
#include "base/child.h"
#include "base/result.h"

namespace kata::agent {

// Starts a process of the agent's own code, with the descriptors and the work that it is given. The Reaper must collect
// it.
Result<StartedProcess> StartRelay(ForkOptions options, const std::function<void()>& work);

// Starts the process with stdin and stdout from io. It connects to 127.0.0.1, then to ::1. It exits with 1 if nothing
// listens on the port. It exits with 0 when the server has closed its side, when stdout has no reader any more, or
// when the client has ended its input and no data has flowed for 60 s. The Reaper must collect the process.
Result<StartedProcess> StartForward(uint16_t port, ProcessIo io);

}  // namespace kata::agent
