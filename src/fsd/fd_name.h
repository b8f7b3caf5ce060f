// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>

namespace kata::fsd {

// The name of a descriptor in /proc/self/fd.
class FdName {
 public:
  explicit FdName(int fd) { *std::to_chars(text_, text_ + sizeof(text_) - 1, fd).ptr = '\0'; }
  const char* c_str() const { return text_; }

 private:
  char text_[12];
};

}  // namespace kata::fsd
