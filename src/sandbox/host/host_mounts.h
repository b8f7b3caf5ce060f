// SPDX-License-Identifier: Apache-2.0
// The mounts of the current mount namespace, as /proc/self/mountinfo has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kata::sandbox {

struct HostMount {
  int id = 0;
  std::string root;   // the mounted part of its file system, from the file system's own root
  std::string point;  // the mount point
};

// Parses text in mountinfo's format; malformed lines are skipped.
std::vector<HostMount> ParseMounts(std::string_view text);
Result<std::vector<HostMount>> HostMounts();

// The root, within its file system, of the mount that this descriptor is on. kNotFound: the mount is not in this
// namespace.
Result<std::string> RootOfMount(int fd);
// Whether something is mounted below this directory, whose path has no symbolic links.
Result<bool> HasMountsBelow(const std::string& directory);

}  // namespace kata::sandbox
