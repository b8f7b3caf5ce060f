// SPDX-License-Identifier: Apache-2.0
// Lists and configures the guest's network interfaces over netlink.
#pragma once

#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Configures the interface with the MAC address hwAddr, or the one called device if hwAddr is empty, and sets it up.
// Replaces its addresses, except IPv6 link-local ones. Sets name, MTU and NOARP if the message has them, and whether it
// has IPv6. An interface that has the wanted name already is set down and renamed to kataINDEX. Returns the resulting
// interface. kNotFound: no such interface. kInvalidArgument: a bad name, MTU or prefix length.
Result<types::Interface> UpdateInterface(const types::Interface& wanted);

// All interfaces of the guest, loopback included.
Result<grpc::Interfaces> ListInterfaces();

// Traffic counters of all interfaces except loopback.
Result<std::vector<grpc::NetworkStats>> InterfaceStats();

// Sets loopback up.
Result<> SetUpLoopback();

}  // namespace kata::agent
