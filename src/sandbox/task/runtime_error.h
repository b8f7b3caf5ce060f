// SPDX-License-Identifier: Apache-2.0
// How errors of the guest, an image or a bundle are reported to the manager.
#pragma once

#include <utility>

#include "base/result.h"

namespace kata::sandbox {

// Replaces codes that containerd relates to the task by kUnknown; the message stays. containerd takes a task as gone
// when a call answers kNotFound. A file that is missing in an image is a failure of the runtime, for which runc's shim
// answers kUnknown, too.
template <typename T>
Result<T> AsRuntimeError(Result<T> result) {
  if (result) return result;
  const Error& error = result.error();
  switch (error.code()) {
    case Code::kNotFound:
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kPermissionDenied:
      return tl::unexpected<Error>(Error(Code::kUnknown, error.message(), error.sys()));
    default:
      return result;
  }
}

}  // namespace kata::sandbox
