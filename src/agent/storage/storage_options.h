// SPDX-License-Identifier: Apache-2.0
// Splits the mount options of a Storage (mount(8)) into flags and data for mount(2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kata::agent {

// The options of a container's own mounts are parsed by container/mount_options.h.
struct StorageOptions {
  unsigned long flags = 0;        // MS_RDONLY and so on
  unsigned long propagation = 0;  // MS_PRIVATE and so on, possibly with MS_REC; 0: not requested
  std::string data;               // all other options, joined by commas
};

// A later option overrides an earlier one. Unknown options go to data.
StorageOptions ParseStorageOptions(const std::vector<std::string>& options);

}  // namespace kata::agent
