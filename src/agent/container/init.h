// SPDX-License-Identifier: Apache-2.0
// What becomes a container process: a copy of the agent, which has one thread, so it may allocate as it likes. The
// agent forks it into the container's cgroup and pid namespace.
//
// At create it leaves the guest's mounts, joins what the pod shares, makes the container from inside, says that it is
// ready, waits for the word to go, and executes the command. An exec joins the container instead.
//
// A user namespace takes two stages. Stage 1 is forked among the guest's processes, takes the mounts of the guest that
// the container's root may not take, clones stage 2 into the cgroup and the new namespaces as a child of the agent
// (CLONE_PARENT), maps its users, and exits.
#pragma once

#include <string>
#include <vector>

#include "agent/container/mounts.h"
#include "agent/container/plan.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// A container on its way.
struct StageContext {
  Plan plan;
  UniqueFd rootfs;  // the root's mounts, detached
  std::vector<PreparedMount> mounts;
};

// Whether the spec has a namespace of this type, and if so whether it is a new one.
bool HasNamespace(const grpc::Spec& spec, const std::string& type);
bool MakesNamespace(const Plan& plan, const std::string& type, Role joined);

// clone(2)'s flags for the new namespaces but mounts and cgroup, which the process makes itself.
uint64_t NewNamespaces(const Plan& plan);

// Runs all of it. An error is said on the status socket.
[[noreturn]] void RunStages(Plan plan);

// Leaves the guest's mounts and takes those that the container needs.
Result<> PrepareContainer(StageContext& context);

// Joins the namespaces that the pod shares. Before a user namespace is entered, for whose eyes they would not be there.
Result<> JoinShared(const Plan& plan);

// Clones stage 2, in which alone it returns with success, and sees it on its way.
Result<> EnterUserNamespace(StageContext& context);

// The container from inside: hostname, mounts, devices, masks, and the new root.
Result<> MakeContainer(StageContext& context);

// The rest, for create and exec: users, capabilities, limits, and the command. Returns only to fail.
Result<> BecomeProcess(const Plan& plan);

}  // namespace kata::agent
