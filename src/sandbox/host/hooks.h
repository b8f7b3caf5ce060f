// SPDX-License-Identifier: Apache-2.0
// Runs the bundle's hooks on the host (runtime-spec, "POSIX-platform Hooks"). The agent runs startContainer hooks in
// the guest.
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

// The input and the surroundings of a hook.
struct HookContext {
  std::string state;           // the container's state as JSON, for standard input
  int working_directory = -1;  // the bundle; for createContainer hooks the rootfs
  int network_namespace = -1;  // for hooks that run in the container's namespaces; -1: the host's
  // For hooks for which the bundle names no environment. null: this process's, as with runc.
  const std::vector<std::string>* environment = nullptr;
  const Interrupts* interrupts = nullptr;  // signals that end a running hook; may be null
};

// A started hook. The destructor kills it.
class RunningHook {
 public:
  static Result<RunningHook> Start(const grpc::Hook& hook, const HookContext& context);

  pid_t pid() const { return child_.pid(); }
  int pidfd() const { return child_.pidfd(); }
  // Blocks until the hook has ended. kAborted: its exit status is not 0; the message has its output.
  Result<> Conclude();
  // Kills the hook and returns kDeadlineExceeded.
  Result<> Overdue(int64_t timeout_seconds);
  void End() { child_.End(); }

 private:
  Child child_;
  UniqueFd output_;
  UniqueFd errors_;
};

// The state as JSON for a hook (runtime-spec, "State").
std::string HookState(const State& state, Status status);

// Runs the hooks in order, and blocks. The first that fails (cannot be started, exit status other than 0, time-out)
// ends it, with an error such as "error running createRuntime hook #0: exit status 1, stdout: ..., stderr: ...".
// kCancelled: interrupted.
Result<> RunHooks(const char* kind, const HookList& hooks, const HookContext& context);

// Runs all hooks. Failures are only logged, as the runtime-spec demands for poststop.
void RunHooksLenient(const char* kind, const HookList& hooks, const HookContext& context);
// Runs the poststop hooks of a spec after the container has gone, in its bundle if that still exists.
void RunPoststop(const State& state, const grpc::Spec& spec);

}  // namespace kata::sandbox
