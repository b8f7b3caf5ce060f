// SPDX-License-Identifier: Apache-2.0
// Adds the methods of grpc.AgentService and grpc.Health to a method table. pod must outlive the table and its calls.
#pragma once

#include "agent/pod.h"
#include "rpc/server.h"

namespace kata::agent {

void AddContainerMethods(rpc::MethodTable& table, Pod& pod);
void AddProcessMethods(rpc::MethodTable& table, Pod& pod);
void AddSandboxMethods(rpc::MethodTable& table, Pod& pod);
void AddGuestMethods(rpc::MethodTable& table, Pod& pod);
void AddNetworkMethods(rpc::MethodTable& table, Pod& pod);
void AddResourceMethods(rpc::MethodTable& table, Pod& pod);

// Adds all of the above.
void AddServices(rpc::MethodTable& table, Pod& pod);

}  // namespace kata::agent
