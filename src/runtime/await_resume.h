// SPDX-License-Identifier: Apache-2.0
// `exec --ignore-paused`: what is to run in a paused container begins when that is resumed, as with runc, whose process
// waits in the frozen cgroup.
#pragma once

#include "base/interrupts.h"
#include "base/result.h"
#include "runtime/store.h"

namespace kata::runtime {

// Returns when the container is not paused (any more): resumed, stopped, or without a sandbox process. Reads its state
// anew. kCancelled: one of interrupts' signals came first.
Result<> AwaitResume(Record& record, const Interrupts& interrupts);

}  // namespace kata::runtime
