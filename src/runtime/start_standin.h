// SPDX-License-Identifier: Apache-2.0
// Starts the stand-in of one process, in the container's cgroups and network namespace, with the process's stdio.
#pragma once

#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/terminal.h"
#include "sandbox/host/cgroup.h"

namespace kata::runtime {

// How to start a stand-in. The caller keeps the descriptors.
struct StandinOptions {
  std::string program;
  std::string container;
  std::string exec_id;               // empty: the container's first process
  std::vector<std::string> cgroups;  // cgroup directories that the stand-in enters
  sandbox::CgroupUse cgroup_use = sandbox::CgroupUse::kRequired;
  int network_namespace = -1;  // -1: the caller's
  const Pty* pty = nullptr;    // its terminal; null: it gets the caller's stdio
  bool own_mounts = false;     // a mount namespace of its own, for ShowContainer
  int until_end = -1;          // OutputsEnd::there, passed to the sandbox process; -1: none
};

// Starts a stand-in with a connection to the sandbox process of this directory, over which it passes its stdio.
Result<Child> StartStandin(const StandinOptions& options, int directory);

// WritePidFile replaces the file atomically, as runc does. Both functions fail with kInvalidArgument if path exists and
// is no regular file, such as a device: CheckPidFile finds this before anything is started. With an empty path both do
// nothing.
Result<> CheckPidFile(const std::string& path);
Result<> WritePidFile(const std::string& path, pid_t pid);

}  // namespace kata::runtime
