// SPDX-License-Identifier: Apache-2.0
// Runs the host's hooks of a sandbox's containers on the event loop, while the VM boots. For the interface whose caller
// does not run them itself: the shim.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/bundle.h"
#include "sandbox/host/hooks.h"
#include "sandbox/sandbox.h"

namespace kata::sandbox {

// The hooks see the host's mounts. The pid in their state is the VMM's, which is in the pod's network namespace. Not
// thread-safe.
class HostHooks {
 public:
  explicit HostHooks(std::shared_ptr<Sandbox> sandbox) : sandbox_(std::move(sandbox)) {}

  // Remembers a container's hooks, if it has any, until Stopped.
  void Note(const std::string& id, const oci::Bundle& bundle);
  // Runs the hooks prestart, createRuntime and createContainer (the last in the pod's network namespace), once the VMM
  // runs. Errors: the first hook that fails ends it, as in RunHooks; kUnavailable: the VMM does not start.
  asio::awaitable<Result<>> Created(std::string id);
  // Runs the poststart hooks. The first that fails ends it.
  asio::awaitable<Result<>> Started(std::string id);
  // Runs the poststop hooks, after the container has gone or was not made. Failures are logged.
  asio::awaitable<void> Stopped(std::string id);

 private:
  struct Of {
    grpc::Hooks hooks;
    State state;
    std::vector<std::string> environment;  // the container's
  };
  // How the hooks of one kind run.
  struct Place {
    std::string state;
    std::string directory;
    int network_namespace = -1;
    std::optional<std::vector<std::string>> environment;  // for hooks that name none; unset: this process's
  };
  asio::awaitable<Result<>> Run(const char* kind, HookList hooks, std::shared_ptr<const Place> place);

  std::shared_ptr<Sandbox> sandbox_;
  std::map<std::string, Of> containers_;  // those that have hooks
};

}  // namespace kata::sandbox
