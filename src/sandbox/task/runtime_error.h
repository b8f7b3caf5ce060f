// SPDX-License-Identifier: Apache-2.0
// How an error of the guest, an image or a bundle is told to the manager above.
#pragma once

#include <utility>

#include "base/result.h"

namespace kata::sandbox {

// "Not found" and its like are about tasks: containerd takes a task as gone that answers so. What is missing in an
// image or forbidden in the guest is a runtime that failed, kUnknown, as with runc; the message stays.
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
