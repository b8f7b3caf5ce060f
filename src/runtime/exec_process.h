// SPDX-License-Identifier: Apache-2.0
// The OCI process object that `exec` runs, as JSON: from a file, or from the container's process and the options.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/arguments.h"

namespace kata::runtime {

struct ExecProcess {
  std::string json;
  bool terminal = false;
  uint32_t rows = 0;  // the height of consoleSize; 0: unknown
  uint32_t columns = 0;
  std::vector<std::string> warnings;
};

// container_spec is the container's config.json. Its process object supplies everything that the options do not set.
// kInvalidArgument: no command, a user that is not numeric, or a malformed process.json; otherwise the errors of
// oci::ParseProcess and oci::ValidateProcess.
Result<ExecProcess> MakeExecProcess(const ExecOptions& options, const std::string& container_spec);

}  // namespace kata::runtime
