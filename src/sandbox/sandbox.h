// SPDX-License-Identifier: Apache-2.0
// A sandbox: one VM, the containers in it, and the record of them on disk.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "oci/bundle.h"
#include "sandbox/container_process.h"
#include "sandbox/devices/container_disks.h"
#include "sandbox/files/guest_mounts.h"
#include "sandbox/files/rootfs_mounts.h"
#include "sandbox/files/shared_files.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/record/state.h"
#include "sandbox/size/growth.h"
#include "sandbox/stdio/late_outputs.h"
#include "sandbox/vm.h"

namespace kata::sandbox {

// One container and its execs.
struct Container {
  explicit Container(const asio::any_io_executor& executor) : settled(executor) {}

  std::string id;
  std::string bundle;
  std::shared_ptr<ContainerProcess> init;  // null while it is being created
  std::map<std::string, std::shared_ptr<ContainerProcess>> execs;
  bool starting = false;
  bool paused = false;
  bool own_pid_namespace = false;
  SharedNames shared;
  std::shared_ptr<ContainerDisks> disks;  // null while it is being created
  Event settled;                          // its process has ended, and with the last one the VM
  LateOutputs late_outputs;

  Status status() const;
};

// Everything a sandbox is made of; the state has all that is known before the first container.
struct SandboxParts {
  std::shared_ptr<Vm> vm;
  std::optional<SharedFiles> shared_files;  // none: nothing is shared, for tests of what needs no files
  MountNamespaces mounts;
  std::optional<oci::Bundle> bundle;   // that of the first container, when it has been read already
  bool pod = false;                    // its containers share namespaces and shared memory
  std::optional<grpc::Spec> pod_spec;  // what each container gets (AddPodDefaults), of a pod without its own
  bool standing = false;               // it goes on without containers, until it is told to end
  bool guest_seccomp = true;           // false: without the containers' seccomp filters
  bool block_devices = true;           // false: what is on disks of the host is mounted there
  GrowthRules growth;
  State state;
  int directory = -1;                // of state.json; stays the caller's
  std::function<void()> on_created;  // called once, after the first container
};

// The files that a container is made from.
struct ContainerFiles {
  oci::Bundle bundle;
  RootfsMounts rootfs;  // none: the bundle's rootfs as it is
};

// Keeps the VM and the containers, and ends when all of them have ended. Which call is allowed in which state of a
// container is TaskService's matter.
class Sandbox : public std::enable_shared_from_this<Sandbox> {
 public:
  Sandbox(const asio::any_io_executor& executor, SandboxParts parts);

  const asio::any_io_executor& executor() const { return executor_; }
  Vm& vm() { return *parts_.vm; }
  std::map<std::string, std::shared_ptr<Container>>& containers() { return containers_; }
  const std::map<std::string, std::shared_ptr<Container>>& containers() const { return containers_; }
  bool ending() const { return end_.happened(); }
  bool standing() const { return parts_.standing; }
  const MountNamespaces& mounts() const { return parts_.mounts; }
  const State& state() const { return parts_.state; }

  // Makes the container in the guest: shares its files, waits for the VM, asks the agent. All or nothing.
  asio::awaitable<Result<>> CreateContainer(std::shared_ptr<Container> container, ContainerFiles files,
                                            ContainerProcess::Setup setup);
  // Called once for each container, at the end of its own process; where the VM ends with it, when that has gone.
  void OnInitEnd(std::function<void(ContainerProcess&)> function) { on_init_end_ = std::move(function); }
  // The bundle at this path, read now or before.
  Result<oci::Bundle> TakeBundle(const std::string& path);
  // Gives a container new limits, and the VM room for them. Errors: Growth's, the agent's.
  asio::awaitable<Result<>> UpdateContainer(std::string id, grpc::LinuxResources resources);
  // Forgets a container that has ended, and what was shared for it.
  asio::awaitable<void> RemoveContainer(std::shared_ptr<Container> container);

  // Writes state.json anew: status from the containers, phases, pids.
  Result<> Store();

  // Ends the sandbox. now: without asking the agent.
  void RequestEnd(bool now);
  // Returns when everything has ended and been recorded: true, or false when the sandbox had failed.
  static asio::awaitable<bool> Run(std::shared_ptr<Sandbox> self);

 private:
  asio::awaitable<Result<>> CreateInGuest(Container& container, ContainerFiles& files, bool terminal);
  Result<> SetPidNamespace(Container& container, bool joins, grpc::CreateContainerRequest& request) const;
  Result<> PrepareFiles(Container& container, ContainerFiles& files, grpc::CreateContainerRequest& request);
  // Takes back what the guest has let go of.
  asio::awaitable<void> Unshare(std::shared_ptr<Container> container);
  bool HasDisks() const;
  void OnEnd(ContainerProcess& process);
  void TellEnd(Container& container);
  // Nothing runs any more, and nothing else keeps the sandbox.
  bool EndsWithContainers() const;
  static asio::awaitable<void> EndIfAllEnded(std::shared_ptr<Sandbox> self, std::shared_ptr<Container> container);
  static asio::awaitable<void> WatchVm(std::shared_ptr<Sandbox> self);
  static asio::awaitable<void> RecordVm(std::shared_ptr<Sandbox> self);
  void EndAllProcesses();

  asio::any_io_executor executor_;
  SandboxParts parts_;
  std::shared_ptr<Disks> disks_;
  std::shared_ptr<Growth> growth_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  std::function<void(ContainerProcess&)> on_init_end_;
  Event end_;
  Event vm_gone_;
  bool end_now_ = false;
};

}  // namespace kata::sandbox
