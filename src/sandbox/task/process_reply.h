// SPDX-License-Identifier: Apache-2.0
// The fields of a process in the Task service's replies.
#pragma once

#include <cstdint>

#include "sandbox/container_process.h"

namespace kata::sandbox {

// The time in a reply for what has not happened: Go's zero time, January 1 of the year 1, in Unix seconds.
inline constexpr int64_t kNoTime = -62135596800;

// Whether this is an exec without a process: it was not started, or could not be. An exec with a stand-in always has a
// process, the stand-in.
inline bool IsOnlyAdded(const ContainerProcess& process) {
  return !process.exec().empty() && !process.begun() && !process.has_standin();
}

// 0: there is no process.
inline uint32_t PidOf(const ContainerProcess& process) {
  return IsOnlyAdded(process) ? 0 : static_cast<uint32_t>(process.pid());
}

// Sets exit status and time. An exec that was never started gets 0 and kNoTime, as from runc's shim.
template <typename Reply>
void SetExit(const ContainerProcess& process, Reply& reply) {
  const bool none = IsOnlyAdded(process);
  reply.set_exit_status(none ? 0 : static_cast<uint32_t>(process.exit_status()));
  reply.mutable_exited_at()->set_seconds(none ? kNoTime : process.exited_at_seconds());
  reply.mutable_exited_at()->set_nanos(none ? 0 : process.exited_at_nanoseconds());
}

}  // namespace kata::sandbox
