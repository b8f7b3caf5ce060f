// SPDX-License-Identifier: Apache-2.0
// The sandbox process seen from outside: how kata-runtime starts it, and its main.
#pragma once

#include <string>
#include <vector>

#include "base/child.h"
#include "base/patience.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// The path of the running program, so that ps shows a name; the magic link when the file has been replaced or removed
// since.
std::string OwnPath();

// The hidden verb of kata-runtime behind which SandboxProcessMain is found.
inline constexpr char kSandboxVerb[] = "sandbox-process";

// What the process is told on its command line; it reads the configuration and the bundle itself.
struct SandboxOptions {
  std::string id;
  std::string bundle;                     // absolute path
  std::string config_path;                // absolute, the file that somebody named; empty: the usual search
  std::vector<std::string> cgroups;       // it enters them before it starts anything
  std::vector<std::string> vcpu_cgroups;  // directories for the vCPUs alone; empty: they stay with the rest
  std::vector<std::string> cgroup_paths;  // recorded in the state, for delete
  bool network_namespace = false;         // the pod's is descriptor 5; without: the pod has the host's
  bool debug = false;                     // log level of sandbox.log
};

// A sandbox process that has been started. Destroying it kills it, unless process.Disown() was called.
struct LaunchedSandbox {
  Child process;
  UniqueFd ready;

  // Waits until its sockets answer. An error carries what it wrote before it ended.
  Result<> AwaitReady(Patience patience);
};

// Starts the sandbox process for the sandbox's directory (docs/architecture.md), in a session of its own, with nothing
// of the caller's but PATH and KATA_CONF_FILE. The VM's boot begins at once; what goes wrong with it is told by Task
// Create. network_namespace: the pod's, where options say that it has one.
Result<LaunchedSandbox> LaunchSandbox(const SandboxOptions& options, int directory, int network_namespace);

// The command line of LaunchSandbox, after the program's name; and back.
std::vector<std::string> SandboxArguments(const SandboxOptions& options);
Result<SandboxOptions> ParseSandboxArguments(const std::vector<std::string>& arguments);

// The main of the sandbox process. Descriptor 3 is the sandbox's directory, 4 is told when it is ready. Returns the
// exit status: 0 when the containers have ended, whatever their own statuses, 1 when the sandbox failed.
int SandboxProcessMain(const std::vector<std::string>& arguments);

}  // namespace kata::sandbox
