// SPDX-License-Identifier: Apache-2.0
// Parses the options of a mount of the runtime-spec ("Linux mount options") by the way in which the kernel takes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

struct MountOptions {
  bool bind = false;
  bool recursive = false;  // rbind
  uint64_t set = 0;        // MOUNT_ATTR_* to set and to clear on the mount itself
  uint64_t clear = 0;
  uint64_t recursive_set = 0;  // the same on the mount and all mounts below it ("rro")
  uint64_t recursive_clear = 0;
  struct Propagation {
    uint64_t type;  // MS_PRIVATE, ...
    bool recursive;
  };
  std::vector<Propagation> propagation;
  std::vector<std::string> data;  // options for the filesystem, after its flags (sync, lazytime, ...)
  bool copy_up = false;           // tmpcopyup
  bool id_mapped = false;         // idmap, ridmap, or mappings of the mount itself
  bool id_mapped_below = false;   // ridmap: the mounts below it, too
};

// Options that this does not know go to data. kUnimplemented: remount, or an idmap with a value. kInvalidArgument: a
// NUL byte, tmpcopyup for a bind mount, or mapped ids for any other mount.
Result<MountOptions> ParseMountOptions(const grpc::Mount& mount);

// Parses "private", "rslave" and so on; nullopt for any other word.
std::optional<MountOptions::Propagation> ParsePropagation(std::string_view word);

// Whether destination is /dev after the removal of ".", ".." and repeated slashes.
bool IsDev(std::string_view destination);

}  // namespace kata::agent
