// SPDX-License-Identifier: Apache-2.0
// One container in the guest, made as the OCI runtime-spec demands: its namespaces, its cgroup and its processes.
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

// The process's ends of its stdio. With a terminal the descriptors are unused: the pty is made inside the container.
struct ProcessIo {
  UniqueFd stdin_read;  // a descriptor that is not valid stands for /dev/null
  UniqueFd stdout_write;
  UniqueFd stderr_write;
  bool terminal = false;
  uint32_t rows = 0;  // initial size of the terminal; 0: the kernel's default
  uint32_t columns = 0;
};

// A started process that is a child of the agent and that the Reaper reaps. The pidfd is safe against reuse of the pid.
struct StartedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd terminal;  // the pty's master, if a terminal was requested
};

// A device that no container may access, whatever its spec allows.
struct ProtectedDevice {
  char type = 'c';  // 'b' or 'c'
  uint32_t major = 0;
  uint32_t minor = 0;
};

// The input of Container::Create.
struct ContainerOptions {
  std::string id;   // at most 255 bytes, no slash
  grpc::Spec spec;  // root.path is a path in the guest
  // The pod's shared namespaces. The container joins one if the spec has a namespace of its type with a path. If the
  // descriptor is not valid, the path in the spec is joined instead.
  UniqueFd ipc_namespace;
  UniqueFd uts_namespace;
  UniqueFd pid_namespace;
  UniqueFd user_namespace;
  std::string cgroup_mount = "/sys/fs/cgroup";  // where cgroup2 is mounted
  // Devices to protect in addition to the guest's root device, such as the agent's virtio-serial port.
  std::vector<ProtectedDevice> protected_devices;
  // Time allowed for a process to become ready to execute its command. Chosen to be longer than any successful start,
  // and shorter than the host's time-out under emulation.
  std::chrono::seconds ready_limit{120};
};

// A container from CreateContainer to RemoveContainer. A call that fails leaves nothing behind, unless it says
// otherwise. The destructor does not end a started container: call Destroy.
//
// The container's processes and the helpers that start them are children of the agent, and the Reaper
// (agent/reaper.h) reaps them. The caller of Create and Exec must hold a Reaper::Hold.
class Container {
 public:
  // Makes the cgroup, the namespaces and the mounts, and looks the command up. Returns when the init process is ready
  // and waits for Start. If the command is missing or cannot be run, this fails in runc's words, for example:
  //   exec: "foo": executable file not found in $PATH            (kNotFound)
  //   exec: "/foo": stat /foo: no such file or directory          (kNotFound)
  //   exec: "/foo": permission denied                             (kPermissionDenied)
  // kInvalidArgument, kUnimplemented: a request of the spec that the guest cannot fulfil, with the field's name.
  // kDeadlineExceeded: the init was not ready within ready_limit. kResourceExhausted: the memory limit is too low.
  static asio::awaitable<Result<std::unique_ptr<Container>>> Create(asio::any_io_executor executor,
                                                                    ContainerOptions options, ProcessIo io);
  ~Container();

  // The init process. The caller may move from it, once.
  StartedProcess& init();
  // Lets the init run the startContainer hooks and then execute the command; returns when it has. Returns the error of
  // a hook or of execve(2). kFailedPrecondition: Start was called before.
  asio::awaitable<Result<>> Start();
  // Starts another process in the container's namespaces and cgroup. Errors as Create. If process has no capabilities,
  // it gets those of the init. kFailedPrecondition: the container is paused, or its init has exited.
  asio::awaitable<Result<StartedProcess>> Exec(grpc::Process process, ProcessIo io);
  // Sends a signal to every process of the container (cgroup.kill for SIGKILL).
  Result<> SignalAll(int signal);
  // Freeze and thaw all processes, and wait at most 10 s until that is done (kDeadlineExceeded). A Pause that fails
  // thaws them again.
  asio::awaitable<Result<>> Pause();
  asio::awaitable<Result<>> Resume();
  // Changes the limits that resources has and keeps the others. After an error some of them may have been changed.
  Result<> Update(const grpc::LinuxResources& resources);
  // Resource usage of the container's cgroup, see cgroup_stats.h.
  Result<grpc::CgroupStats> Stats() const;
  // The pids of the container's processes in the guest's pid namespace.
  Result<std::vector<pid_t>> Pids() const;
  // A descriptor of the container's namespace of a type of linux.namespaces ("pid", "ipc", "uts", "user"), as it was
  // when the container was made. kInvalidArgument: others do not join one of this type, or the container has none of
  // its own.
  Result<UniqueFd> Namespace(const std::string& type) const;
  // The path of the container's cgroup below the cgroup2 mount, without a leading slash.
  const std::string& cgroup_path() const;
  // Waits until the OOM killer has killed a process of the container; see OomWatch::Wait. kNotFound: the container was
  // destroyed. The Container object may be destroyed while this waits.
  asio::awaitable<Result<>> WaitOom();
  // Kills all processes and waits for their end, at most 30 s (kDeadlineExceeded). Then removes the cgroup and closes
  // the namespaces, and with them the mounts. After an error it can be called again; after success it does nothing.
  asio::awaitable<Result<>> Destroy();

 private:
  struct Impl;
  explicit Container(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace kata::agent
