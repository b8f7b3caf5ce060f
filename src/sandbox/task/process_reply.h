// SPDX-License-Identifier: Apache-2.0
// The fields of a process in the Task service's replies.
#pragma once

#include <cstdint>

#include "sandbox/container_process.h"

namespace kata::sandbox {

// The time of what has not happened, as Go writes it: the first of January of the year 1, in Unix seconds.
inline constexpr int64_t kNoTime = -62135596800;

// An exec that was not started, or could not be: there is no process. One with a stand-in has that.
inline bool IsOnlyAdded(const ContainerProcess& process) {
  return !process.exec().empty() && !process.begun() && !process.has_standin();
}

// 0 where there is no process.
inline uint32_t PidOf(const ContainerProcess& process) {
  return IsOnlyAdded(process) ? 0 : static_cast<uint32_t>(process.pid());
}

// How it ended. An exec that was never started ended in no way: runc's shim says 0 and no time.
template <typename Reply>
void SetExit(const ContainerProcess& process, Reply& reply) {
  const bool none = IsOnlyAdded(process);
  reply.set_exit_status(none ? 0 : static_cast<uint32_t>(process.exit_status()));
  reply.mutable_exited_at()->set_seconds(none ? kNoTime : process.exited_at_seconds());
  reply.mutable_exited_at()->set_nanos(none ? 0 : process.exited_at_nanoseconds());
}

}  // namespace kata::sandbox
