// SPDX-License-Identifier: Apache-2.0
// Assembles a sandbox from a configuration and its first container's bundle, for both interfaces, and starts its boot.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "oci/bundle.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/network/network.h"
#include "sandbox/record/state.h"
#include "sandbox/sandbox.h"

namespace kata::sandbox {

// The input of StartSandbox: what is known of a sandbox before anything is started.
struct SandboxPlan {
  std::string id;
  UniqueFd directory;  // opened in this process's own mount namespace
  MountNamespaces mounts;
  config::Config config;
  oci::Bundle bundle;                                   // the first container's
  std::optional<network::Namespace> network_namespace;  // the pod's (NamespaceOf); none: the pod has the host's network
  network::HostNetwork host_network = network::HostNetwork::kRefused;
  UniqueFd root;  // ROOT, where `create` makes directories for more containers; not for a shim
  State state;    // the record so far
  std::function<Result<>()> enter_cgroups;   // called after the record is stored; may be empty
  std::vector<std::string> limited_cgroups;  // directories of the sandbox's own cgroup that were made for it
  std::vector<std::string> vcpu_cgroups;     // for the vCPUs alone; empty: they stay in this process's cgroups
  std::string apparmor_profile;              // of this process, where AppArmor has it
  bool pod = false;                          // more containers may be added
  std::optional<grpc::Spec> pod_spec;        // for a pod without a container of its own: see SandboxParts
  bool standing = false;                     // the sandbox stays without containers, until RequestEnd
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
};

// Loads the configuration file with its drop-ins, and applies the bundle's annotations. path: a file that the user has
// named; empty: the usual search. warn: logs the file's own warnings (warnings about annotations are always logged).
// Errors: config::Load's and config::ApplyAnnotations'.
Result<config::Config> LoadConfig(const std::string& path, const oci::Bundle& bundle, bool warn);

// The log level that the [runtime] section asks for.
log::Level LogLevelOf(const config::RuntimeConfig& config);

// Opens the same directory again by its path, in the current mount namespace. A descriptor stays in the mount namespace
// in which it was opened, and nothing can be mounted there from another one. kAborted: the path leads to another
// directory.
Result<UniqueFd> ReopenDirectory(int directory);

// Starts a sandbox: stores its record, serves the guest's console at console.sock of its directory, and starts the VM's
// boot. Task Create reports errors of the boot. plan: partly moved from; plan.directory must stay open as long as the
// sandbox exists.
Result<std::shared_ptr<Sandbox>> StartSandbox(const asio::any_io_executor& executor, SandboxPlan& plan);

// Kills and reaps all child processes. For the end of a process that is a subreaper (prctl(2)): it has inherited
// orphans, such as the file server's children, and the last of them holds the sandbox's mounts.
void EndOrphans();

}  // namespace kata::sandbox
