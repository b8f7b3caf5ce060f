// SPDX-License-Identifier: Apache-2.0
// The talk between containerd and a shim's `start`, which has changed from version to version.
#pragma once

#include <string>
#include <string_view>

#include "shim/arguments.h"

namespace kata::shim {

// What a start is told beside its command line.
struct Bootstrap {
  std::string ttrpc_address;     // where events go; empty: nowhere
  std::string socket_directory;  // where the shim is to listen
  std::string config_path;       // the configuration file that containerd's own names; empty: none
  bool structured = false;       // the answer may be JSON; else it is the bare address
  int version = 2;               // of the Task service that containerd asks for
};

// From standard input (containerd 2.3: BootstrapParams; before it the runtime's options) and the environment (before
// it: TTRPC_ADDRESS, MAX_SHIM_VERSION). What does not fit the command line is of an older containerd.
Bootstrap ReadBootstrap(const Arguments& arguments, std::string_view standard_input);

// What `start` prints: containerd 1.6 knows the address alone, 1.7 and newer the JSON object.
std::string StartAnswer(const Bootstrap& bootstrap, const std::string& socket_path);

}  // namespace kata::shim
