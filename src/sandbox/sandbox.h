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
#include "sandbox/home.h"
#include "sandbox/host/host_limits.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/record/state.h"
#include "sandbox/size/growth.h"
#include "sandbox/stdio/late_outputs.h"
#include "sandbox/vm.h"

namespace kata::sandbox {

// One container and its execs.
struct Container {
  explicit Container(const asio::any_io_executor& executor) : news(executor), created(executor), settled(executor) {}

  std::string id;
  std::string bundle;
  std::string resolv_conf;                 // the host's file that it has as /etc/resolv.conf; empty: none
  std::shared_ptr<ContainerProcess> init;  // null while the container is being created
  std::map<std::string, std::shared_ptr<ContainerProcess>> execs;
  bool starting = false;
  bool paused = false;
  bool own_pid_namespace = false;
  bool answers_names = false;  // it has the guest's process that asks the engine for names (task/forward_names.h)
  SharedNames shared;
  std::shared_ptr<ContainerDisks> disks;  // null while the container is being created
  uint64_t oom_kills = 0;                 // how often the OOM killer has killed one of its processes
  Event news;  // oom_kills has grown, or the container's process has ended; replaced each time
  // Of a container of the command line that has come to another one's sandbox; the first one's is the sandbox's. With
  // containerd the sandbox's is the only one.
  std::optional<ContainerRecord> record;
  Event created;  // its creation has come to an end, good or bad
  Event settled;  // the container's process has ended; with the sandbox's last container also the VM
  LateOutputs late_outputs;

  Status status() const;
};

// What a Sandbox is made from. `state` has what is known before the first container is created.
struct SandboxParts {
  std::shared_ptr<Vm> vm;
  std::optional<SharedFiles> shared_files;  // none: nothing is shared (tests only)
  MountNamespaces mounts;
  std::optional<oci::Bundle> bundle;   // the first container's, if it has been read already
  bool pod = false;                    // its containers share namespaces and shared memory
  std::optional<grpc::Spec> pod_spec;  // AddPodDefaults, for a pod without a container of its own
  bool standing = false;               // the sandbox stays without containers, until RequestEnd
  bool guest_seccomp = true;           // false: the containers' seccomp filters are removed
  bool block_devices = true;           // false: file systems on the host's disks are mounted there and shared
  GrowthRules growth;
  HostLimiter host_limits;
  State state;
  int directory = -1;                // the sandbox's; the caller keeps ownership
  int root = -1;                     // ROOT, with the directories of all containers; the caller's; -1: containerd
  std::function<void()> on_created;  // called once, when the first container has been created
};

// The files from which a container is made.
struct ContainerFiles {
  oci::Bundle bundle;
  RootfsMounts rootfs;  // empty: the bundle's rootfs directory as it is
};

// Owns the VM and the containers. Ends when all containers have ended, unless it is standing. TaskService checks which
// call is allowed in which state of a container. Not thread-safe: all calls come from the executor's thread.
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
  // The container in whose directory and cgroups the sandbox is; null with containerd.
  const std::shared_ptr<Container>& home() const { return home_; }

  // Reads the record that `create` has made for a container of the command line, unless it is the sandbox's own. Errors
  // of sandbox::OpenRecord.
  Result<> OpenRecord(Container& container) const;
  // Creates the container in the guest: shares its files, waits for the VM, calls the agent. An error takes back all
  // steps. Errors: those of the steps, or kUnavailable with the VM's failure where that is the cause.
  asio::awaitable<Result<>> CreateContainer(std::shared_ptr<Container> container, ContainerFiles files,
                                            ContainerProcess::Setup setup);
  // Sets the callback for the end of a container's own process. It is called once for each container that was created.
  // When the VM ends with the container, it is called after the VM has ended.
  void OnInitEnd(std::function<void(ContainerProcess&)> function) { on_init_end_ = std::move(function); }
  // Returns the bundle at this path. The first container's may have been read already; it is handed out once. Errors:
  // oci::LoadBundle's.
  Result<oci::Bundle> TakeBundle(const std::string& path);
  // Sets the limits of the sandbox's cgroup on the host to those of its containers. When a container starts or gets
  // other limits, and not earlier: the boot of the VM and the creation are not to be slowed down. Errors:
  // HostLimiter::Apply's.
  Result<> LimitHost() { return parts_.host_limits.Apply(growth_->memory_mib()); }
  // Sets new limits for a container, in the guest and on the host. The VM grows first if they need it. Errors:
  // Growth::Admit's, the agent's and HostLimiter::Apply's.
  asio::awaitable<Result<>> UpdateContainer(std::string id, grpc::LinuxResources resources);
  // Removes a container that has ended from this sandbox and from the guest, with what was shared for it. Failures are
  // logged. While the sandbox ends, the call returns for a container with disks only after the VM has ended.
  asio::awaitable<void> RemoveContainer(std::shared_ptr<Container> container);

  // Rewrites the record of a container, or the sandbox's if it has none of its own: the status, the phases, the pids.
  // Errors: StoreState's.
  Result<> Store(Container& container);
  // Rewrites the sandbox's record and those of all containers; of the latter, failures are only logged.
  Result<> Store();
  // Moves the sandbox out of the directory and the cgroups of a container that has ended, failed or been removed, to
  // one that goes on. Does nothing if there is none: then the sandbox ends, too. To be called before anybody else
  // learns of the end. Failures are logged.
  void FindHome();
  // Whether all containers have stopped and the sandbox is not standing.
  bool EndsWithContainers() const;

  // Starts the sandbox's end, which Run carries out. now: without asking the agent to shut down.
  void RequestEnd(bool now);
  // Ends the containers by a signal to all of their processes, and the sandbox with them: when they have ended, in any
  // case after 80 seconds. A container with a stand-in is not sent the signal: whoever means this process means the
  // stand-in in the same cgroup, too, which passes it on; other containers with stand-ins go on, and the sandbox with
  // them. Without containers the sandbox ends at once.
  static asio::awaitable<void> Stop(std::shared_ptr<Sandbox> self, int signal);
  // The sandbox's life. Returns when the VM and the containers have ended and state.json says so. False: the sandbox
  // had failed; state().failure says why.
  static asio::awaitable<bool> Run(std::shared_ptr<Sandbox> self);

 private:
  asio::awaitable<Result<>> CreateInGuest(Container& container, ContainerFiles& files, bool terminal);
  // Makes the namespaces of the guest's spec those of the containers whose stand-ins' namespaces the host's spec names.
  Result<> JoinNamespaces(const grpc::Spec& host, grpc::Spec& guest) const;
  Result<> SetPidNamespace(Container& container, bool joins, grpc::CreateContainerRequest& request) const;
  Result<> PrepareFiles(Container& container, ContainerFiles& files, grpc::CreateContainerRequest& request);
  // Unshares the container's files and releases its disks. The guest must no longer use them.
  asio::awaitable<void> Unshare(std::shared_ptr<Container> container);
  bool HasDisks() const;
  void OnEnd(ContainerProcess& process);
  void TellEnd(Container& container);
  // The container whose record is the sandbox's; null: there is none yet, or it has been removed.
  std::shared_ptr<Container> First() const;
  bool IsFirst(const Container& container) const { return container.id == parts_.state.id && !container.record; }
  // Brings the part of the sandbox's record up to date that all records have in common.
  void RefreshState();
  Result<> StoreOwn();
  // The record of a container; null: it has none.
  State* RecordOf(Container& container);
  int DirectoryOf(const Container& container) const;
  static asio::awaitable<void> EndIfAllEnded(std::shared_ptr<Sandbox> self, std::shared_ptr<Container> container);
  static asio::awaitable<void> WatchVm(std::shared_ptr<Sandbox> self);
  static asio::awaitable<void> RecordVm(std::shared_ptr<Sandbox> self);
  void EndAllProcesses();

  asio::any_io_executor executor_;
  SandboxParts parts_;
  std::shared_ptr<Disks> disks_;
  std::shared_ptr<Growth> growth_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  std::shared_ptr<Container> home_;  // in whose directory and cgroups the sandbox is; null with containerd
  std::function<void(ContainerProcess&)> on_init_end_;
  Event end_;
  Event vm_gone_;
  bool end_now_ = false;
};

}  // namespace kata::sandbox
