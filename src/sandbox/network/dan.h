// SPDX-License-Identifier: Apache-2.0
// DAN files: taps that somebody has prepared for a sandbox, used instead of the pod's namespace (docs/network.md).
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
  std::string netns;         // path of the network namespace with the taps; empty: the host's
  std::vector<DanTap> taps;  // in the order of network.interfaces, whose indexes are 1, 2, 3 ...
  PodNetwork network;        // what the agent is told
};

// kInvalidArgument: malformed; the message names the member. kUnimplemented: a vhost-user device.
Result<Dan> ParseDan(std::string_view json);

// Reads directory/SANDBOX.json. Nothing when there is no such file, or no such directory. Errors: ParseDan's.
Result<std::optional<Dan>> LoadDan(const std::string& directory, const std::string& sandbox);

}  // namespace kata::sandbox::network
