// SPDX-License-Identifier: Apache-2.0
// What virtio_fs_extra_args may hold: arguments that tune virtiofsd. The daemon runs as root, so everything that is not
// known to be harmless is refused: nothing may weaken its sandbox or share another directory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::config {

// The arguments as virtiofsd takes them, each option of -o on its own. kInvalidArgument: one that is not accepted; the
// message lists those that are.
Result<std::vector<std::string>> VirtiofsdArguments(const std::vector<std::string>& extra);

}  // namespace kata::config
