// SPDX-License-Identifier: Apache-2.0
// Port forwarding: a process that carries bytes between its stdio and a TCP port of the guest's own loopback.
#pragma once

#include <cstdint>

#include "agent/container/container.h"
#include "base/result.h"

namespace kata::agent {

// Starts it. It ends with 0 when the server has closed its side, and with 1 when nobody listens at the port.
Result<StartedProcess> StartForward(uint16_t port, ProcessIo io);

}  // namespace kata::agent
