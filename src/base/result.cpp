// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstring>

namespace kata {

Code CodeOfErrno(int sys) {
  switch (sys) {
    case ENOENT:
    case ESRCH:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
      return Code::kResourceExhausted;
    case ENOSYS:
    case EOPNOTSUPP:
      return Code::kUnimplemented;
    case ETIMEDOUT:
      return Code::kDeadlineExceeded;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
      return Code::kUnavailable;
    case EBUSY:
    case ENOTEMPTY:
      return Code::kFailedPrecondition;
    default:
      return Code::kUnknown;
  }
}

std::string ErrnoText(int sys) {
  const char* text = strerrordesc_np(sys);
  return text != nullptr ? text : fmt::format("errno {}", sys);
}

}  // namespace kata
