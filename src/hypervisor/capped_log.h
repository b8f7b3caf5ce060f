// SPDX-License-Identifier: Apache-2.0
// A memory file of fixed size for a child's stderr, so that no child can fill the host's memory with messages.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::hypervisor {

// Keeps the first kSize bytes that a child writes. Later writes of the child fail, and their data is lost.
class CappedLog {
 public:
  static constexpr size_t kSize = 64U << 10U;
  static constexpr size_t kTail = 2048;

  static Result<CappedLog> Create();
  // Takes ownership of a memfd of Create, or of an invalid descriptor, for an empty log.
  explicit CappedLog(UniqueFd fd) : fd_(std::move(fd)) {}

  // The descriptor to be used as the child's stderr; the CappedLog owns it.
  int fd() const { return fd_.get(); }
  // The last lines written so far, from at most limit bytes, made printable, without trailing newlines.
  std::string Tail(size_t limit = kTail) const { return TailOf(fd(), limit); }
  // As Tail, for a descriptor that Release returned; "" for -1.
  static std::string TailOf(int fd, size_t limit = kTail);
  UniqueFd Release() { return std::move(fd_); }

 private:
  UniqueFd fd_;
};

}  // namespace kata::hypervisor
