// SPDX-License-Identifier: Apache-2.0
// A name server at an address of the guest's own loopback: a process that carries the queries of clients over its
// stdio, as protocol/name_frames.h packs them.
#pragma once

#include <netinet/in.h>

#include "agent/container/container.h"
#include "base/result.h"

namespace kata::agent {

// Listens at this address, by UDP and TCP, and starts the process with stdin and stdout from io. Queries go to stdout,
// answers come from stdin. The process exits with 0 at the end of stdin, and with 1 when stdout has no reader. The
// Reaper must collect it. kAlreadyExists: somebody listens there.
Result<StartedProcess> StartForwardNames(const sockaddr_in& address, ProcessIo io);

}  // namespace kata::agent
