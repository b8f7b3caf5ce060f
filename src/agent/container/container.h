// SPDX-License-Identifier: Apache-2.0
// One container in the guest, made as the OCI runtime-spec says: its namespaces, its cgroup and its processes.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

namespace asio = boost::asio;

// The child's end of its stdio. With a terminal these are unused: the pty is made inside the container.
struct ProcessIo {
  UniqueFd stdin_read;  // one that is not valid is /dev/null
  UniqueFd stdout_write;
  UniqueFd stderr_write;
  bool terminal = false;
  uint32_t rows = 0;  // the terminal's first size; 0: unknown
  uint32_t columns = 0;
};

// A process that the agent, PID 1, will reap. The pidfd names it whatever happens to the number.
struct StartedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd terminal;  // the pty's master, when a terminal was asked for
};

// A device that no container may touch, whatever its spec allows.
struct ProtectedDevice {
  char type = 'c';  // 'b' or 'c'
  uint32_t major = 0;
  uint32_t minor = 0;
};

// Everything a container is made from.
struct ContainerOptions {
  std::string id;          // at most 255 bytes, no slash
  grpc::Spec spec;         // root.path is a path in the guest
  UniqueFd ipc_namespace;  // the pod's shared namespaces, joined where the spec has one of the type with a path;
  UniqueFd uts_namespace;  // not valid: the spec's own words count
  UniqueFd pid_namespace;
  std::string cgroup_mount = "/sys/fs/cgroup";  // where cgroup2 is mounted
  // The guest's root device is always protected; these are too (the agent's own channel, for example).
  std::vector<ProtectedDevice> protected_devices;
  // How long a process may take until it is ready. Longer than anything that works takes, and shorter than the host
  // waits for an emulated guest.
  std::chrono::seconds ready_limit{120};
};

// From CreateContainer to RemoveContainer. Each call either does all of it or leaves nothing.
//
// Its processes are direct children of this process: the reaper (agent/reaper.h) collects them, and the helpers that
// start them. Call Create and Exec under a Reaper::Hold.
class Container {
 public:
  // Makes cgroup, namespaces and mounts, finds the command, and returns when the init waits to be released.
  // A command that is missing or cannot be run fails here, in runc's words:
  //   exec: "foo": executable file not found in $PATH            (kNotFound)
  //   exec: "/foo": stat /foo: no such file or directory          (kNotFound)
  //   exec: "/foo": permission denied                             (kPermissionDenied)
  // What the spec asks and the guest cannot do is kInvalidArgument or kUnimplemented and names the field.
  static asio::awaitable<Result<std::unique_ptr<Container>>> Create(asio::any_io_executor executor,
                                                                    ContainerOptions options, ProcessIo io);
  ~Container();

  // The init's process; the terminal can be taken once.
  StartedProcess& init();
  // Releases the init: runs the startContainer hooks, then the command. kFailedPrecondition: it was started before.
  asio::awaitable<Result<>> Start();
  // Another process in the container's namespaces and cgroup. Errors as Create's. Without capabilities in process it
  // gets those of the init. kFailedPrecondition: the container is paused, or its init has ended.
  asio::awaitable<Result<StartedProcess>> Exec(grpc::Process process, ProcessIo io);
  // Sends a signal to every process of the container (cgroup.kill for SIGKILL).
  Result<> SignalAll(int signal);
  // Return when every process is frozen, or thawed.
  asio::awaitable<Result<>> Pause();
  asio::awaitable<Result<>> Resume();
  // Sets what the message has; the rest stays.
  Result<> Update(const grpc::LinuxResources& resources);
  Result<grpc::CgroupStats> Stats() const;
  // The processes in the container, as the guest numbers them.
  Result<std::vector<pid_t>> Pids() const;
  // The path of its cgroup below the cgroup2 mount, without a leading slash.
  const std::string& cgroup_path() const;
  // Waits until a process of the container has been killed for want of memory: once for every growth of memory.events'
  // oom_kill. kNotFound when the container is destroyed. The Container may go while this waits.
  asio::awaitable<Result<>> WaitOom();
  // Kills what is left, waits for its end, removes the cgroup and lets go of the namespaces, and so of the mounts.
  asio::awaitable<Result<>> Destroy();

 private:
  struct Impl;
  explicit Container(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace kata::agent
