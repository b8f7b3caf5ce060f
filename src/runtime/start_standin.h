// SPDX-License-Identifier: Apache-2.0
// Starting the stand-in of one process: in the container's cgroups and network namespace, with its stdio.
#pragma once

#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/terminal.h"

namespace kata::runtime {

// The options of a stand-in.
struct StandinOptions {
  std::string program;
  std::string container;
  std::string exec_id;               // empty for the container's own process
  std::vector<std::string> cgroups;  // directories to enter
  int network_namespace = -1;        // -1: the caller's
  const Pty* pty = nullptr;          // its terminal; null: the caller's own stdio
  bool own_mounts = false;           // a mount namespace of its own, for ShowContainer
  int until_end = -1;                // handed over as well, to be closed when the outputs have ended; -1: none
};

// Starts it with a connection to the sandbox process of this directory, over which it hands its stdio over.
Result<Child> StartStandin(const StandinOptions& options, int directory);

// Writes a pid as runc does, whole or not at all: the file is replaced. kInvalidArgument where that would take away
// something that is no regular file, such as a device; CheckPidFile finds it out before anything has been started. With
// an empty path both do nothing, and succeed.
Result<> CheckPidFile(const std::string& path);
Result<> WritePidFile(const std::string& path, pid_t pid);

}  // namespace kata::runtime
