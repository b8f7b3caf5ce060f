// SPDX-License-Identifier: Apache-2.0
// The methods of grpc.AgentService and grpc.Health, in groups. sandbox must outlive the calls.
#pragma once

#include "agent/sandbox.h"
#include "rpc/server.h"

namespace kata::agent {

void AddContainerMethods(rpc::MethodTable& table, Sandbox& sandbox);
void AddProcessMethods(rpc::MethodTable& table, Sandbox& sandbox);
void AddSandboxMethods(rpc::MethodTable& table, Sandbox& sandbox);
void AddGuestMethods(rpc::MethodTable& table, Sandbox& sandbox);
void AddNetworkMethods(rpc::MethodTable& table, Sandbox& sandbox);
void AddResourceMethods(rpc::MethodTable& table, Sandbox& sandbox);

// All of them.
void AddServices(rpc::MethodTable& table, Sandbox& sandbox);

}  // namespace kata::agent
