// SPDX-License-Identifier: Apache-2.0
// The command line of a shim (containerd's documentation of runtime v2, "Commands"): flags in the syntax of Go's flag
// package, then the action.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::shim {

enum class Action {
  kServe,  // no action: the shim itself, which `start` runs
  kStart,
  kDelete,
  kVersion,
  kInfo,  // containerd 2 asks for information about the runtime
};

struct Arguments {
  Action action = Action::kServe;
  std::string namespace_name;
  std::string id;
  std::string address;         // containerd's gRPC socket
  std::string socket;          // kServe only: the path of its socket, for messages and to remove it
  std::string config;          // kServe only: the configuration file that containerd's options named to `start`
  std::string systemd_cgroup;  // kServe only: "true" or "false", as these options said; empty: they did not
  bool debug = false;
};

// kInvalidArgument: an unknown flag or action, a missing value, or no -id or -namespace.
Result<Arguments> ParseArguments(const std::vector<std::string>& words);

}  // namespace kata::shim
