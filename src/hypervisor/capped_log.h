// SPDX-License-Identifier: Apache-2.0
// Where a child's stderr goes: a memory file of fixed size, so that no child can fill the host's memory with messages.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::hypervisor {

// The first bytes that a child wrote; what comes after them is lost, the child's write fails.
class CappedLog {
 public:
  static constexpr size_t kSize = 64U << 10U;
  static constexpr size_t kTail = 2048;

  static Result<CappedLog> Create();
  // Takes a memfd made by Create.
  explicit CappedLog(UniqueFd fd) : fd_(std::move(fd)) {}

  // For the child: its stderr.
  int fd() const { return fd_.get(); }
  // The last lines so far, at most limit bytes, control characters escaped, without a newline at the end.
  std::string Tail(size_t limit = kTail) const { return TailOf(fd(), limit); }
  // The same of a descriptor that was released from a CappedLog.
  static std::string TailOf(int fd, size_t limit = kTail);
  UniqueFd Release() { return std::move(fd_); }

 private:
  UniqueFd fd_;
};

}  // namespace kata::hypervisor
