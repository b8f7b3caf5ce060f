// SPDX-License-Identifier: Apache-2.0
// DAN files: networks that somebody has prepared for a sandbox as taps, instead of a pod's namespace (docs/network.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/network/scan.h"

namespace kata::sandbox::network {

struct DanTap {
  std::string tap;
  std::string mac;  // the guest's
  uint32_t queues = 1;
};

struct Dan {
  std::string netns;         // path of the namespace that the taps are in; empty: the host's
  std::vector<DanTap> taps;  // in the order of network.interfaces, whose numbers are 1, 2, 3 ...
  PodNetwork network;        // what the guest is told
};

// kInvalidArgument names the member that is wrong; kUnimplemented: a kind of device other than host-tap.
Result<Dan> ParseDan(std::string_view json);

// The file directory/SANDBOX.json; nothing when there is none, or no directory.
Result<std::optional<Dan>> LoadDan(const std::string& directory, const std::string& sandbox);

}  // namespace kata::sandbox::network
