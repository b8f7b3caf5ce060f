// SPDX-License-Identifier: Apache-2.0
// The command line that containerd gives a shim (containerd, runtime v2, "Commands"): flags as Go's flag package reads
// them, then the action.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::shim {

enum class Action {
  kServe,  // no action: the shim itself, as `start` runs it
  kStart,
  kDelete,
  kVersion,
  kInfo,  // what containerd 2 asks about the runtime
};

struct Arguments {
  Action action = Action::kServe;
  std::string namespace_name;
  std::string id;
  std::string address;  // containerd's gRPC socket
  std::string socket;   // of the shim itself: where it listens, for the messages and to remove it
  std::string config;   // of the shim itself: the configuration file that containerd's options named to `start`
  bool debug = false;
};

// kInvalidArgument, with what is wrong.
Result<Arguments> ParseArguments(const std::vector<std::string>& words);

}  // namespace kata::shim
