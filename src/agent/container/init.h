// SPDX-License-Identifier: Apache-2.0
// The code that turns a fork of the agent into a container process. The agent forks it into the container's cgroup and
// pid namespace. The agent has a single thread, so the fork may allocate memory.
//
// To create a container, the fork leaves the guest's mounts, joins the pod's shared namespaces, sets the container up
// from inside, reports that it is ready, waits for Say::kGo, and executes the command. For an exec, it joins the
// existing container instead.
//
// A container with a user namespace needs two stages. Stage 1 is forked into the guest's own namespaces and cgroup. It
// takes those mounts of the guest that root in the user namespace has no right to. Then it clones stage 2 into the
// cgroup and the new namespaces, as a child of the agent (CLONE_PARENT), writes stage 2's uid and gid maps, and exits.
#pragma once

#include <string>
#include <vector>

#include "agent/container/mounts.h"
#include "agent/container/plan.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// A container that is being made.
struct StageContext {
  Plan plan;
  UniqueFd rootfs;  // the mounts of the container's root, detached
  std::vector<PreparedMount> mounts;
};

// Whether the spec has a namespace of this type.
bool HasNamespace(const grpc::Spec& spec, const std::string& type);
// Whether the spec has a namespace of this type and the plan has no existing one to join (joined is its role).
bool MakesNamespace(const Plan& plan, const std::string& type, Role joined);

// clone(2) flags for the container's new namespaces. Mount and cgroup namespaces are not among them: the process makes
// those itself. A network namespace is never new.
uint64_t NewNamespaces(const Plan& plan);

// Runs the plan until the command is executed. Reports an error on the status socket (Say::kError) and exits with 1.
[[noreturn]] void RunStages(Plan plan);

// Takes the mounts that the container needs of the guest, and enters the base (base_root.h).
Result<> PrepareContainer(StageContext& context);

// Joins the pod's shared namespaces, except the pid namespace. Must come before the user namespace is entered, from
// which a process has no rights over them (setns(2)).
Result<> JoinShared(const Plan& plan);

// Clones stage 2. Returns success only in stage 2, once stage 1 has written its id maps; stage 1 exits with 0. Returns
// an error in stage 1 only.
Result<> EnterUserNamespace(StageContext& context);

// Sets the container up from inside: hostname, mounts, devices, console, sysctls, masked paths, and the new root.
Result<> MakeContainer(StageContext& context);

// The last steps, for create and exec: stdio, users, capabilities, seccomp, hooks, and the command. Returns only on
// failure.
Result<> BecomeProcess(const Plan& plan);

}  // namespace kata::agent
