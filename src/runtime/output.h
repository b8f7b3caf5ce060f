// SPDX-License-Identifier: Apache-2.0
// Text for standard output.
#pragma once

#include <unistd.h>

#include <string_view>

#include "base/files.h"

namespace kata::runtime {

// Writes all of it; a reader that has gone is an error, and the exit status tells.
inline Result<int> Print(std::string_view text) {
  TRY(Context(WriteAll(STDOUT_FILENO, text), "cannot write to standard output"));
  return 0;
}

}  // namespace kata::runtime
