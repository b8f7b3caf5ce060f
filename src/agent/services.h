// SPDX-License-Identifier: Apache-2.0
// The methods of grpc.AgentService and grpc.Health, in groups. sandbox must outlive the calls.
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

// All of them.
void AddServices(rpc::MethodTable& table, Pod& pod);

}  // namespace kata::agent
