// SPDX-License-Identifier: Apache-2.0
// The two stages that become a container process. Both are copies of the agent, which has one thread, so they may
// allocate as they like.
//
// Stage 1 is a child of the agent in the guest's namespaces. It leaves the guest's mounts, joins what is shared, clones
// stage 2 into the cgroup and the new namespaces as a child of the agent (CLONE_PARENT), maps its users, and exits.
// Stage 2 makes the container from inside, says that it is ready, waits for the word to go, and executes the command.
// An exec begins with stage 2, which joins the container.
#pragma once

#include <string>
#include <vector>

#include "agent/container/mounts.h"
#include "agent/container/plan.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// What stage 1 hands to stage 2: its clone, so these are the same descriptors.
struct StageContext {
  Plan plan;
  UniqueFd rootfs;  // create: the root's mounts, detached
  std::vector<PreparedMount> mounts;
  UniqueFd mapped;  // readable, with one byte, once the users are mapped and the agent knows the pid; end: give up
};

// Whether the spec has a namespace of this type, and if so whether it is a new one.
bool HasNamespace(const grpc::Spec& spec, const std::string& type);
bool MakesNamespace(const Plan& plan, const std::string& type, Role joined);

// Runs both stages. An error of theirs is said on the status socket.
[[noreturn]] void RunStages(Plan plan);

// Runs stage 1 up to the clone; returns the context in stage 2 only.
Result<StageContext> RunStage1(Plan plan);

// Stage 2's first half at create: hostname, mounts, devices, masks, and the new root.
Result<> MakeContainer(StageContext& context);

// The second half, for create and exec: users, capabilities, limits, and the command. Returns only to fail.
Result<> BecomeProcess(const Plan& plan);

}  // namespace kata::agent
