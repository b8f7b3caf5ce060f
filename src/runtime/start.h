// SPDX-License-Identifier: Apache-2.0
// Starting a created container: what `start` and `run` share.
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"
#include "runtime/store.h"
#include "runtime/task.h"

namespace kata::runtime {

// Releases the container's command, then runs the poststart hooks; one that fails is an error, and ends the container.
Result<> StartContainer(Task& task, const Record& record, const grpc::Hooks& hooks, const Interrupts& interrupts);

}  // namespace kata::runtime
