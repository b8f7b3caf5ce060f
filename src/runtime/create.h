// SPDX-License-Identifier: Apache-2.0
// Creating a container from its bundle, for `create` and `run`.
#pragma once

#include "base/child.h"
#include "base/interrupts.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"
#include "runtime/arguments.h"
#include "runtime/store.h"

namespace kata::runtime {

// A container that waits to be started. Its sandbox process lives on independently of this process.
struct Created {
  Record record;
  Child standin;
  UniqueFd outputs;  // for Foreground::outputs; invalid if detached
  grpc::Spec spec;
};

// Creates a container. detached: no caller waits in the foreground, so a terminal goes to the console socket. After an
// error, or when a signal of interrupts arrives (kCancelled), nothing of the container is left.
// kPermissionDenied: the caller is not root.
Result<Created> CreateContainer(const Globals& globals, const CreateOptions& options, bool detached,
                                const Interrupts& interrupts);

// Why the sandbox failed: what its record says, or the end of its log if the sandbox process died without a record; ""
// if it did not fail. Waits up to a second for the record, since other processes may learn of the failure before the
// sandbox process has recorded it. directory: the sandbox's directory.
std::string SandboxFailure(int directory);

// Rewrites an error of Task Create, Exec or Start in the words by which engines recognize a missing or forbidden
// command: "unable to start container process: exec: "foo": executable file not found in $PATH". If the sandbox process
// is gone (kUnavailable), returns SandboxFailure.
Error ExplainStartFailure(Error error, int directory);

}  // namespace kata::runtime
