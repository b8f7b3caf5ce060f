// SPDX-License-Identifier: Apache-2.0
// The guest's routes and static neighbours.
#pragma once

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Replaces the routes of the main table, except those that the kernel made itself, by these. Returns what is there
// then.
Result<grpc::Routes> UpdateRoutes(const grpc::Routes& wanted);

// The routes of the main table that the kernel did not make itself.
Result<grpc::Routes> ListRoutes();

// Adds neighbours, replacing those of the same address. State 0 is a permanent one.
Result<> AddNeighbors(const grpc::ARPNeighbors& neighbors);

}  // namespace kata::agent
