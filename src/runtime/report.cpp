// SPDX-License-Identifier: Apache-2.0
#include "runtime/report.h"

#include <unistd.h>

#include "base/files.h"
#include "base/log.h"

namespace kata::runtime {

void Report(const Globals& globals, const std::string& message) {
  if (!globals.log_path.empty()) (void)WriteAll(STDERR_FILENO, message + "\n");
  log::Error("{}", message);
}

}  // namespace kata::runtime
