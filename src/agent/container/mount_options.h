// SPDX-License-Identifier: Apache-2.0
// The options of a mount in the runtime-spec ("Linux mount options"), sorted by what they are to the kernel.
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
  uint64_t set = 0;        // MOUNT_ATTR_* of the mount itself
  uint64_t clear = 0;
  uint64_t recursive_set = 0;  // the same of all mounts below, too ("rro")
  uint64_t recursive_clear = 0;
  struct Propagation {
    uint64_t type;  // MS_PRIVATE, ...
    bool recursive;
  };
  std::vector<Propagation> propagation;
  std::vector<std::string> data;  // for the filesystem, in order, with its own flags (sync, lazytime, ...)
  bool copy_up = false;           // tmpcopyup
};

// kInvalidArgument, with the option, for one that cannot be honoured.
Result<MountOptions> ParseMountOptions(const grpc::Mount& mount);

// "rslave" and so on; nothing for any other word.
std::optional<MountOptions::Propagation> ParsePropagation(std::string_view word);

// Whether a mount's destination is /dev, however it is written.
bool IsDev(std::string_view destination);

}  // namespace kata::agent
