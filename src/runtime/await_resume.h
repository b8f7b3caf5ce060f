// SPDX-License-Identifier: Apache-2.0
// `exec --ignore-paused`: an exec in a paused container starts when the container is resumed, as with runc, whose
// process waits in the frozen cgroup.
#pragma once

#include "base/interrupts.h"
#include "base/result.h"
#include "runtime/store.h"

namespace kata::runtime {

// Blocks while the container is paused: until it is resumed or stopped, or its sandbox process has ended. Updates
// record.state. kCancelled: one of interrupts' signals came first.
Result<> AwaitResume(Record& record, const Interrupts& interrupts);

}  // namespace kata::runtime
