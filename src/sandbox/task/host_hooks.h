// SPDX-License-Identifier: Apache-2.0
// The host's hooks of a sandbox's containers, for an interface whose caller does not run them itself: on the event
// loop, so that the VM boots meanwhile.
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

// They see the host's mounts. Their state has the VMM's pid: a process in the pod's network namespace. A bundle without
// hooks costs nothing.
class HostHooks {
 public:
  explicit HostHooks(std::shared_ptr<Sandbox> sandbox) : sandbox_(std::move(sandbox)) {}

  // Keeps a container's hooks, if it has any, until Stopped.
  void Note(const std::string& id, const oci::Bundle& bundle);
  // prestart, createRuntime and createContainer (in the pod's network namespace). Errors: RunHooks', and kUnavailable
  // when the VMM does not start.
  asio::awaitable<Result<>> Created(std::string id);
  asio::awaitable<Result<>> Started(std::string id);
  // The container has gone, or was not made: failures are logged.
  asio::awaitable<void> Stopped(std::string id);

 private:
  struct Of {
    grpc::Hooks hooks;
    State state;
    std::vector<std::string> environment;  // the container's
  };
  // Where the hooks of one kind run.
  struct Place {
    std::string state;
    std::string directory;
    int network_namespace = -1;
    std::optional<std::vector<std::string>> environment;  // of hooks that name none; unset: this process's
  };
  asio::awaitable<Result<>> Run(const char* kind, HookList hooks, std::shared_ptr<const Place> place);

  std::shared_ptr<Sandbox> sandbox_;
  std::map<std::string, Of> containers_;  // those that have hooks
};

}  // namespace kata::sandbox
