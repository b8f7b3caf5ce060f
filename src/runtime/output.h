// SPDX-License-Identifier: Apache-2.0
// Output to standard output.
#pragma once

#include <unistd.h>

#include <string_view>

#include "base/files.h"

namespace kata::runtime {

// Writes the whole text and returns 0, the exit status. It is an error if the reader has closed its end.
inline Result<int> Print(std::string_view text) {
  TRY(Context(WriteAll(STDOUT_FILENO, text), "cannot write to standard output"));
  return 0;
}

}  // namespace kata::runtime
