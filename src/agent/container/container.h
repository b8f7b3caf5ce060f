// SPDX-License-Identifier: Apache-2.0
// One container in the guest, made as the OCI runtime-spec says: its namespaces, its cgroup and its processes.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
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
  UniqueFd stdin_read;
  UniqueFd stdout_write;
  UniqueFd stderr_write;
  bool terminal = false;
  uint32_t rows = 0;  // the terminal's first size; 0: unknown
  uint32_t columns = 0;
};

// A process that the agent, PID 1, will reap.
struct StartedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd terminal;  // the pty's master, when a terminal was asked for
};

// Everything a container is made from.
struct ContainerOptions {
  std::string id;
  grpc::Spec spec;             // root.path is a path in the guest
  UniqueFd ipc_namespace;      // the pod's shared namespaces, joined where the spec has one of the type with a path;
  UniqueFd uts_namespace;      // not valid: the spec's own words count
  UniqueFd pid_namespace;
  // Called in the parent as soon as the init's pid is known, before it can end, so that the reaper knows it.
};

// From CreateContainer to RemoveContainer. Each call either does all of it or leaves nothing.
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
  // Releases the init: runs the startContainer hooks, then the command.
  asio::awaitable<Result<>> Start();
  // Another process in the container's namespaces and cgroup. Errors as Create's.
  asio::awaitable<Result<StartedProcess>> Exec(const grpc::Process& process, ProcessIo io);
  // Sends a signal to every process of the container (cgroup.kill for SIGKILL).
  Result<> SignalAll(int signal);
  Result<> Pause();
  Result<> Resume();
  Result<> Update(const grpc::LinuxResources& resources);
  Result<grpc::CgroupStats> Stats() const;
  // The processes in the container, as the guest numbers them.
  Result<std::vector<pid_t>> Pids() const;
  // The path of its cgroup below the cgroup2 mount, and a count of OOM kills from memory.events.
  const std::string& cgroup_path() const;
  // Kills what is left, removes cgroup and mounts.
  Result<> Destroy();

 private:
  struct Impl;
  explicit Container(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The main of the re-executed agent ("kata-agent init"): makes one container process from the plan it is handed. Never
// returns but by exec or exit.
[[noreturn]] void ContainerInitMain();

}  // namespace kata::agent
