// SPDX-License-Identifier: Apache-2.0
// How kata-runtime starts the sandbox process, and the main function of that process.
#pragma once

#include <string>
#include <vector>

#include "base/child.h"
#include "base/patience.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// The path of the running program, for a readable name in ps. /proc/self/exe when the file has been replaced or
// removed.
std::string OwnPath();

// The hidden verb of kata-runtime that runs SandboxProcessMain.
inline constexpr char kSandboxVerb[] = "sandbox-process";

// The command line of the sandbox process, which reads the configuration and the bundle itself.
struct SandboxOptions {
  std::string id;
  std::string bundle;                     // absolute path
  std::string config_path;                // absolute path of the file that the user named; empty: the usual search
  std::vector<std::string> cgroups;       // the process enters them before it starts anything
  std::vector<std::string> vcpu_cgroups;  // directories for the vCPUs alone; empty: the vCPUs stay with the rest
  std::vector<std::string> cgroup_paths;  // recorded in the state, for delete
  std::string systemd_unit;               // likewise; empty: none
  bool network_namespace = false;         // descriptor 5 is the pod's; false: the pod has the host's network
  bool rootless = false;                  // a cgroup that cannot be entered is no error
  bool debug = false;                     // log level of sandbox.log
};

// A sandbox process that has been started. The destructor kills it, unless process.Disown() was called.
struct LaunchedSandbox {
  Child process;
  UniqueFd ready;

  // Blocks until the process's sockets answer. kDeadlineExceeded: not in time. kUnavailable: the process ended before;
  // the message has what it wrote.
  Result<> AwaitReady(Patience patience);
};

// Starts the sandbox process in a session of its own; of the caller's environment it gets PATH and KATA_CONF_FILE only.
// directory: the sandbox's (docs/architecture.md). network_namespace: the pod's, if options say that it has one. The
// caller keeps both descriptors. The VM's boot begins at once; Task Create reports its errors.
Result<LaunchedSandbox> LaunchSandbox(const SandboxOptions& options, int directory, int network_namespace);

// Convert the options to the arguments after the verb, and back. kInvalidArgument: an unknown argument, a missing
// value, or no --id or --bundle.
std::vector<std::string> SandboxArguments(const SandboxOptions& options);
Result<SandboxOptions> ParseSandboxArguments(const std::vector<std::string>& arguments);

// The main function of the sandbox process. Descriptor 3 is the sandbox's directory; 4 receives kReady or an error.
// Returns the exit status: 0 when the containers have ended, whatever their own statuses; 1 when the sandbox failed.
int SandboxProcessMain(const std::vector<std::string>& arguments);

}  // namespace kata::sandbox
