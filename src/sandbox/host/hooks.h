// SPDX-License-Identifier: Apache-2.0
// The bundle's hooks: programs that run on the host at certain moments of a container's life (runtime-spec,
// "POSIX-platform Hooks"). The agent runs those of startContainer, in the guest.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>
#include <vector>

#include "base/child.h"
#include "base/interrupts.h"
#include "base/result.h"
#include "protocol/oci.pb.h"
#include "sandbox/record/state.h"

namespace kata::sandbox {

using HookList = google::protobuf::RepeatedPtrField<grpc::Hook>;

// Where and with what hooks run.
struct HookContext {
  std::string state;           // the container's state, JSON, on their standard input
  int working_directory = -1;  // the bundle; of createContainer hooks the rootfs
  int network_namespace = -1;  // joined by hooks that belong into the container's namespaces; -1: the host's
  // For hooks of which the bundle names no environment; null: this process's, as with runc.
  const std::vector<std::string>* environment = nullptr;
  const Interrupts* interrupts = nullptr;  // end a hook that runs; may be null
};

// A hook that has been started. Destroying it kills it.
class RunningHook {
 public:
  static Result<RunningHook> Start(const grpc::Hook& hook, const HookContext& context);

  pid_t pid() const { return child_.pid(); }
  int pidfd() const { return child_.pidfd(); }
  // Waits for its end. kAborted: its exit status is not 0, with what it has printed.
  Result<> Conclude();
  // Kills it, and says that it took longer than it may.
  Result<> Overdue(int64_t timeout_seconds);
  void End() { child_.End(); }

 private:
  Child child_;
  UniqueFd output_;
  UniqueFd errors_;
};

// The state as the runtime-spec gives it to hooks.
std::string HookState(const State& state, Status status);

// Runs them one after the other; the first that fails (cannot be started, exit status other than 0, out of time) ends
// it: "error running createRuntime hook #0: exit status 1, stdout: ..., stderr: ...".
Result<> RunHooks(const char* kind, const HookList& hooks, const HookContext& context);

// Runs all of them; failures are logged and no more, as the runtime-spec says of poststop.
void RunHooksLenient(const char* kind, const HookList& hooks, const HookContext& context);
// The poststop hooks of a spec for a container that is no more, in its bundle if that still exists.
void RunPoststop(const State& state, const grpc::Spec& spec);

}  // namespace kata::sandbox
