// SPDX-License-Identifier: Apache-2.0
// The guest's network interfaces: what they are, and how the host wants them.
#pragma once

#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Gives the interface with hwAddr (or, when that is empty, the one called device) its name, addresses, mtu and flags,
// and sets it up. What the message does not name is removed (addresses) or left alone. kNotFound: no such interface.
Result<types::Interface> UpdateInterface(const types::Interface& wanted);

Result<grpc::Interfaces> ListInterfaces();

// Counters of all interfaces but loopback.
Result<std::vector<grpc::NetworkStats>> InterfaceStats();

// Sets loopback up.
Result<> SetUpLoopback();

}  // namespace kata::agent
