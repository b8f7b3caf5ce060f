// SPDX-License-Identifier: Apache-2.0
// Starting a created container, for `start` and `run`.
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"
#include "runtime/store.h"
#include "runtime/task.h"

namespace kata::runtime {

// Starts the container's command, then runs the poststart hooks. If a hook fails, kills the container and returns the
// error.
Result<> StartContainer(Task& task, const Record& record, const grpc::Hooks& hooks, const Interrupts& interrupts);

}  // namespace kata::runtime
