// SPDX-License-Identifier: Apache-2.0
// Lists and replaces the guest's routes, and adds static neighbours, over netlink.
#pragma once

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Replaces the routes that ListRoutes returns by wanted, and returns the resulting routes. kInvalidArgument: a type of
// route other than unicast, blackhole, unreachable and prohibit. After an error some routes may be missing.
Result<grpc::Routes> UpdateRoutes(const grpc::Routes& wanted);

// The unicast, blackhole, unreachable and prohibit routes of the main table, except those that the kernel made itself
// and IPv6 link-local ones.
Result<grpc::Routes> ListRoutes();

// Adds neighbour entries, replacing existing ones of the same address. State 0 means permanent.
Result<> AddNeighbors(const grpc::ARPNeighbors& neighbors);

}  // namespace kata::agent
