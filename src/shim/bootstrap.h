// SPDX-License-Identifier: Apache-2.0
// The input and output of a shim's `start`, which differ between versions of containerd.
#pragma once

#include <string>
#include <string_view>

#include "shim/arguments.h"
#include "shim/runtime_options.h"

namespace kata::shim {

// The parameters of `start` beside its command line.
struct Bootstrap {
  std::string ttrpc_address;     // containerd's socket for events; empty: there is none
  std::string socket_directory;  // the directory of the shim's socket
  RuntimeOptions options;        // of containerd's configuration
  bool structured = false;       // containerd accepts a JSON answer; otherwise only the bare address
  int version = 2;               // the version of the Task service that containerd asks for
};

// Reads the environment (TTRPC_ADDRESS, MAX_SHIM_VERSION) and standard input: BootstrapParams since containerd 2.3, the
// runtime's options before. Input is taken for BootstrapParams only if its id and namespace are those of the command
// line.
Bootstrap ReadBootstrap(const Arguments& arguments, std::string_view standard_input);

// The output of `start`: the bare address for containerd 1.6, a JSON object for 1.7 and newer.
std::string StartAnswer(const Bootstrap& bootstrap, const std::string& socket_path);

}  // namespace kata::shim
