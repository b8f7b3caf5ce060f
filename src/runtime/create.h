// SPDX-License-Identifier: Apache-2.0
// Making a container from its bundle: what `create` and `run` share.
#pragma once

#include "base/child.h"
#include "base/interrupts.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"
#include "runtime/arguments.h"
#include "runtime/store.h"

namespace kata::runtime {

// A container that waits to be started. Its sandbox process lives on by itself.
struct Created {
  Record record;
  Child standin;
  UniqueFd outputs;  // for Foreground; not valid: detached
  grpc::Spec spec;
};

// detached: nobody waits for it in the foreground, so its terminal goes to a console socket. Whatever fails, and when a
// signal of interrupts comes, nothing of the container is left.
Result<Created> CreateContainer(const Globals& globals, const CreateOptions& options, bool detached,
                                const Interrupts& interrupts);

// Why the sandbox failed, or the end of its log when it could not say so itself; empty when it did not fail. The record
// is waited for, a second at most: others learn of a failure sooner.
std::string SandboxFailure(int directory);

// The failure, in the words by which engines recognize a missing or forbidden command:
// "unable to start container process: exec: "foo": executable file not found in $PATH". When the sandbox has
// failed, SandboxFailure.
Error ExplainStartFailure(Error error, int directory);

}  // namespace kata::runtime
