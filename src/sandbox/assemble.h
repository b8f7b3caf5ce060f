// SPDX-License-Identifier: Apache-2.0
// Puts a sandbox together from a configuration and its first container's bundle, for every interface, and starts its
// boot.
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

// Everything that is known of a sandbox before anything is started.
struct SandboxPlan {
  std::string id;
  UniqueFd directory;  // the sandbox's, opened in this process's own mount namespace
  MountNamespaces mounts;
  config::Config config;
  oci::Bundle bundle;                                   // the first container's
  std::optional<network::Namespace> network_namespace;  // the pod's (NamespaceOf); none: it has the host's network
  network::HostNetwork host_network = network::HostNetwork::kRefused;
  State state;                              // the record so far
  std::function<Result<>()> enter_cgroups;  // called when it is on record and nothing has been started; may be empty
  std::vector<std::string> vcpu_cgroups;    // for the vCPUs alone; empty: they stay where this process is
  bool pod = false;                         // more containers will come
  std::optional<grpc::Spec> pod_spec;       // what each of them gets (AddPodDefaults), of a pod without its own
  bool standing = false;                    // it is one without containers, too
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
};

// Loads the configuration file (path: one that somebody named; empty: the usual search) with its drop-ins, and applies
// the bundle's annotations. The file's own warnings go to the log when `warn` is set.
Result<config::Config> LoadConfig(const std::string& path, const oci::Bundle& bundle, bool warn);

// The log level that [runtime] asks for.
log::Level LogLevelOf(const config::RuntimeConfig& config);

// A descriptor keeps the mount namespace that it was opened in, and nothing can be mounted there from another one. So
// the same directory again, by its path; kAborted when it is another by now.
Result<UniqueFd> ReopenDirectory(int directory);

// A sandbox whose VM is booting; what goes wrong with that is told by Task Create. Its record is on disk, and the
// guest's console is served at console.sock of the directory. The directory's descriptor must live as long as it does.
Result<std::shared_ptr<Sandbox>> StartSandbox(const asio::any_io_executor& executor, SandboxPlan& plan);

// After the end: children of children that died (virtiofsd has some) have come to this process, if it is a subreaper;
// with them goes the last that holds the sandbox's mounts.
void EndOrphans();

}  // namespace kata::sandbox
