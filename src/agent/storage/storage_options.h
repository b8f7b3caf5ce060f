// SPDX-License-Identifier: Apache-2.0
// The words of fstab(5) that mount(2) takes as flags, and the rest, which it takes as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kata::agent {

// Of a Storage of the protocol; container/mount_options.h has those of a container's mounts.
struct StorageOptions {
  unsigned long flags = 0;        // MS_RDONLY and so on
  unsigned long propagation = 0;  // MS_PRIVATE and so on, possibly with MS_REC; 0: not asked for
  std::string data;               // what is left, joined by commas
};

StorageOptions ParseStorageOptions(const std::vector<std::string>& options);

}  // namespace kata::agent
