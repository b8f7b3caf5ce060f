// SPDX-License-Identifier: Apache-2.0
// The part of its file system that a mount shows: where it begins, and what of it other mounts hide. That decides
// whether two mounts can show the guest one and the same file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata::fsd {

// One line of /proc/PID/mountinfo (proc(5)).
struct MountLine {
  uint64_t id = 0;
  uint64_t parent = 0;
  std::string device;  // "8:1"
  std::string root;    // what of the file system is mounted, as a path in it
  std::string point;   // where
};

// Lines that cannot be read are left out.
std::vector<MountLine> ParseMountInfo(std::string_view text);

struct ShownTree {
  std::string device;
  std::string root;
  // Where other mounts are mounted on this one, as paths in its file system, and what they show.
  std::map<std::string, std::string> covered;
};

// Nothing: there is no such mount, or what it shows has been removed.
std::optional<ShownTree> ShownTreeOf(uint64_t id, const std::vector<MountLine>& mounts);

// Whether each directory that both trees have has the same entries in both: an inode of the guest has one content.
bool Agree(const ShownTree& a, const ShownTree& b);
// Whether everything that is in `other` is in `tree`, too.
bool Contains(const ShownTree& tree, const ShownTree& other);

}  // namespace kata::fsd
