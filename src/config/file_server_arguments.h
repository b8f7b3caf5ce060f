// SPDX-License-Identifier: Apache-2.0
// The arguments that virtio_fs_extra_args may contain. The file server runs as root, so only options that are known to
// be harmless are accepted: none may weaken its sandbox or export another directory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::config {

// Returns the arguments for the file server's command line, with a separate -o for each option. announce_submounts is
// always among them. kInvalidArgument: an argument is not accepted; the message lists those that are.
Result<std::vector<std::string>> FileServerArguments(const std::vector<std::string>& extra);

}  // namespace kata::config
