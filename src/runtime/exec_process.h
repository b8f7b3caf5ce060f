// SPDX-License-Identifier: Apache-2.0
// The OCI process that `exec` runs, as JSON: from a file, or from the container's own process and the options.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/arguments.h"

namespace kata::runtime {

struct ExecProcess {
  std::string json;
  bool terminal = false;
  uint32_t rows = 0;  // of consoleSize; 0: unknown
  uint32_t columns = 0;
  std::vector<std::string> warnings;
};

// container_spec is the container's config.json: its process's environment, user, capabilities and limits are where the
// options do not say otherwise. kInvalidArgument: no command, a user that is no number, a wrong process.json, and
// what oci::ValidateProcess finds.
Result<ExecProcess> MakeExecProcess(const ExecOptions& options, const std::string& container_spec);

}  // namespace kata::runtime
