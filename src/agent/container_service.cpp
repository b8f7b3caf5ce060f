// SPDX-License-Identifier: Apache-2.0
// The ttRPC methods for one container: from CreateContainer to RemoveContainer.
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "agent/devices.h"
#include "agent/forward.h"
#include "agent/forward_names.h"
#include "agent/method.h"
#include "agent/network/interfaces.h"
#include "agent/reaper.h"
#include "agent/services.h"
#include "agent/user.h"
#include "base/files.h"
#include "protocol/guest_contract.h"

namespace kata::agent {

namespace {

// Prefix of the path of a namespace that belongs to another container; that container's id follows.
constexpr std::string_view kOfContainer = contract::kNamespaceOfContainer;

// Refuses what the agent cannot do before anything is made.
Result<> CheckRequest(const grpc::CreateContainerRequest& request) {
  TRY(CheckDevices(request.devices()));
  if (request.shared_mounts_size() > 0) return Fail(Code::kUnimplemented, "shared_mounts are not implemented");
  if (request.stdin_port() != 0 || request.stdout_port() != 0 || request.stderr_port() != 0) {
    return Fail(Code::kUnimplemented, "stdin_port, stdout_port and stderr_port are not implemented");
  }
  if (!request.has_oci()) return Fail(Code::kInvalidArgument, "the request has no OCI spec");
  if (!request.oci().has_root()) return Fail(Code::kInvalidArgument, "root is missing in the OCI spec");
  if (!request.oci().has_process()) return Fail(Code::kInvalidArgument, "process is missing in the OCI spec");
  return {};
}

Result<UniqueFd> Duplicate(const UniqueFd& fd) {
  if (!fd) return UniqueFd();
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return FailErrno("cannot copy a namespace's descriptor");
  return copy;
}

// The path of a container's root after MountRootfs.
std::string RootfsPath(const Pod& pod, const std::string& id) { return pod.root().path() + "/" + id + "/rootfs"; }

// Bind-mounts the spec's root, a directory shared by the host, to RootfsPath, and changes root.path to that.
Result<> MountRootfs(Pod& pod, ContainerEntry& entry, grpc::Spec& spec) {
  const std::string& path = spec.root().path();
  const auto source = TRY(Context(pod.root().OpenExisting(path, O_PATH | O_DIRECTORY), "root.path"));
  const std::string target = RootfsPath(pod, entry.id);
  if (path == target) return {};
  TRY(pod.root().MakeDirs(target, 0700));
  const auto place = TRY(pod.root().Find(target, /*make_parents=*/false));
  TRY(BindMount(source.get(), place, 0, MS_PRIVATE | MS_REC));
  entry.rootfs_mounted = true;
  spec.mutable_root()->set_path(target);
  return {};
}

Result<> SetUser(Pod& pod, const std::string& id, const grpc::StringUser& names, grpc::Process& process) {
  const auto rootfs = TRY(pod.root().OpenExisting(RootfsPath(pod, id), O_PATH | O_DIRECTORY));
  return Context(ResolveUser(rootfs.get(), names, *process.mutable_user()), "string_user");
}

Result<Pipes> PipesFor(const Pod& pod, const grpc::Process& process) {
  return MakePipes(process.terminal(), process.consolesize().height(), process.consolesize().width(),
                   pod.options().pipe_size);
}

Result<ContainerOptions> Prepare(Pod& pod, ContainerEntry& entry, grpc::CreateContainerRequest& request) {
  ContainerOptions options;
  options.id = entry.id;
  options.spec.Swap(request.mutable_oci());
  TRY(MountRootfs(pod, entry, options.spec));
  if (request.has_string_user()) {
    TRY(SetUser(pod, entry.id, request.string_user(), *options.spec.mutable_process()));
  }
  for (const auto& wanted : options.spec.linux().namespaces()) {
    if (wanted.type() != "user" || wanted.path().empty() || wanted.path().starts_with(kOfContainer)) continue;
    TRY(NeedUserNamespace(pod.namespaces(), options.spec.linux()));
    options.user_namespace = TRY(Duplicate(pod.namespaces().user));
  }
  options.ipc_namespace = TRY(Duplicate(pod.namespaces().ipc));
  options.uts_namespace = TRY(Duplicate(pod.namespaces().uts));
  if (request.sandbox_pidns()) {
    // CreateSandbox may not have made it: the host learns only from a container whether the pod shares one.
    TRY(NeedPidNamespace(pod.namespaces()));
    options.pid_namespace = TRY(Duplicate(pod.namespaces().pid));
    // The flag overrides the spec. A namespace with any path is joined; one without a path would be a new one.
    for (auto& wanted : *options.spec.mutable_linux()->mutable_namespaces()) {
      if (wanted.type() == "pid") wanted.set_path("/proc/1/ns/pid");
    }
  }
  for (const auto& wanted : options.spec.linux().namespaces()) {
    if (!wanted.path().starts_with(kOfContainer)) continue;
    const auto other = TRY(Context(pod.Find(wanted.path().substr(kOfContainer.size())), "linux.namespaces"));
    UniqueFd joined = TRY(Context(other->container->Namespace(wanted.type()), "linux.namespaces"));
    if (wanted.type() == "pid") {
      options.pid_namespace = std::move(joined);
    } else if (wanted.type() == "ipc") {
      options.ipc_namespace = std::move(joined);
    } else if (wanted.type() == "uts") {
      options.uts_namespace = std::move(joined);
    } else if (wanted.type() == "user") {
      options.user_namespace = std::move(joined);
    }
  }
  options.cgroup_mount = pod.options().cgroup_mount;
  options.protected_devices = pod.protected_devices;
  return options;
}

asio::awaitable<Result<>> Make(Pod& pod, std::shared_ptr<ContainerEntry> entry, grpc::CreateContainerRequest request) {
  CO_TRY_ASSIGN(entry->storages, co_await pod.AddStorages(request.storages()));
  CO_TRY(co_await AddDevices(pod.executor(), request.devices(), *request.mutable_oci(), pod.options().hotplug_timeout));
  CO_TRY_ASSIGN(auto options, Prepare(pod, *entry, request));
  CO_TRY_ASSIGN(auto pipes, PipesFor(pod, options.spec.process()));
  const Reaper::Hold hold;
  ProcessIo io = std::move(pipes.child);
  CO_TRY_ASSIGN(entry->container, co_await Container::Create(pod.executor(), std::move(options), std::move(io)));
  StartedProcess started = std::move(entry->container->init());
  CO_TRY_ASSIGN(entry->init, Process::Adopt(pod.executor(), std::move(started), std::move(pipes)));
  co_return Result<>();
}

asio::awaitable<Result<Empty>> CreateContainer(Pod& pod, grpc::CreateContainerRequest request) {
  CO_TRY(CheckRequest(request));
  CO_TRY_ASSIGN(auto entry, pod.Reserve(request.container_id()));
  auto guard = co_await entry->lock.Acquire();
  auto made = co_await Make(pod, entry, std::move(request));
  if (!made) {
    auto removed = co_await pod.Remove(entry);
    if (!removed) log::Warn("container {}: {}", entry->id, removed.error().message());
  }
  co_return Done(std::move(made));
}

// Reports OOM kills in the container until it is removed.
asio::awaitable<void> WatchOom(Pod& pod, std::shared_ptr<ContainerEntry> entry) {
  while (entry->container) {
    auto event = co_await entry->container->WaitOom();
    if (!event) co_return;
    log::Warn("container {}: a process was killed for want of memory", entry->id);
    pod.ReportOom(entry->id);
  }
}

// An entry whose lock is held.
struct Locked {
  std::shared_ptr<ContainerEntry> entry;
  Lock::Guard guard;
};

asio::awaitable<Result<Locked>> FindLocked(Pod& pod, std::string id) {
  CO_TRY_ASSIGN(auto entry, pod.Find(id));
  auto guard = co_await entry->lock.Acquire();
  if (entry->removed) co_return Fail(Code::kNotFound, "container {} does not exist any more", id);
  Locked locked{std::move(entry), std::move(guard)};
  co_return locked;
}

asio::awaitable<Result<Empty>> StartContainer(Pod& pod, grpc::StartContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  const Reaper::Hold hold;
  CO_TRY(co_await locked.entry->container->Start());
  asio::co_spawn(pod.executor(), WatchOom(pod, locked.entry), asio::detached);
  co_return Empty();
}

asio::awaitable<Result<Empty>> RemoveContainer(Pod& pod, grpc::RemoveContainerRequest request) {
  CO_TRY_ASSIGN(auto found, pod.Find(request.container_id()));
  // Kills before it acquires the lock: the holder of the lock may be waiting for one of these processes.
  (void)found->container->SignalAll(SIGKILL);
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  co_return Done(co_await pod.Remove(locked.entry));
}

// The container's init is known by the container's id.
Result<> CheckFreeExecId(const ContainerEntry& entry, const std::string& exec_id) {
  if (exec_id != entry.id && !entry.execs.contains(exec_id)) return {};
  return Fail(Code::kAlreadyExists, "container {} has a process \"{}\" already", entry.id, exec_id);
}

asio::awaitable<Result<Empty>> ExecProcess(Pod& pod, grpc::ExecProcessRequest request) {
  CO_TRY(CheckId("exec id", request.exec_id()));
  if (request.stdin_port() != 0 || request.stdout_port() != 0 || request.stderr_port() != 0) {
    co_return Fail(Code::kUnimplemented, "stdin_port, stdout_port and stderr_port are not implemented");
  }
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  ContainerEntry& entry = *locked.entry;
  CO_TRY(CheckFreeExecId(entry, request.exec_id()));
  if (request.has_string_user()) {
    CO_TRY(SetUser(pod, entry.id, request.string_user(), *request.mutable_process()));
  }
  CO_TRY_ASSIGN(auto pipes, PipesFor(pod, request.process()));
  const Reaper::Hold hold;
  ProcessIo io = std::move(pipes.child);
  grpc::Process process = std::move(*request.mutable_process());
  CO_TRY_ASSIGN(auto started, co_await entry.container->Exec(std::move(process), std::move(io)));
  CO_TRY_ASSIGN(auto adopted, Process::Adopt(pod.executor(), std::move(started), std::move(pipes)));
  entry.execs[request.exec_id()] = std::move(adopted);
  co_return Empty();
}

// The forwarding process runs outside of the container, but is registered as one of its execs.
asio::awaitable<Result<Empty>> ForwardPort(Pod& pod, grpc::ForwardPortRequest request) {
  CO_TRY(CheckId("exec id", request.exec_id()));
  if (request.port() == 0 || request.port() > UINT16_MAX) {
    co_return Fail(Code::kInvalidArgument, "{} is no port", request.port());
  }
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  CO_TRY(CheckFreeExecId(*locked.entry, request.exec_id()));
  auto forward = [&]() -> Result<std::shared_ptr<Process>> {
    Pipes pipes = TRY(MakePipes(/*terminal=*/false, 0, 0, 0));
    StartedProcess started = TRY(StartForward(static_cast<uint16_t>(request.port()), std::move(pipes.child)));
    return Process::Adopt(pod.executor(), std::move(started), std::move(pipes));
  };
  CO_TRY_ASSIGN(locked.entry->execs[request.exec_id()], forward());
  co_return Empty();
}

// Registered as an exec of the container, as a forwarding process is.
asio::awaitable<Result<Empty>> ForwardNames(Pod& pod, grpc::ForwardNamesRequest request) {
  CO_TRY(CheckId("exec id", request.exec_id()));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(request.port()));
  if (request.port() == 0 || request.port() > UINT16_MAX ||
      inet_pton(AF_INET, request.address().c_str(), &address.sin_addr) != 1 ||
      ntohl(address.sin_addr.s_addr) >> 24U != IN_LOOPBACKNET) {
    co_return Fail(Code::kInvalidArgument, "{} port {} is no place on the loopback", request.address(), request.port());
  }
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  CO_TRY(CheckFreeExecId(*locked.entry, request.exec_id()));
  auto forward = [&]() -> Result<std::shared_ptr<Process>> {
    Pipes pipes = TRY(MakePipes(/*terminal=*/false, 0, 0, 0));
    StartedProcess started = TRY(StartForwardNames(address, std::move(pipes.child)));
    return Process::Adopt(pod.executor(), std::move(started), std::move(pipes));
  };
  CO_TRY_ASSIGN(locked.entry->execs[request.exec_id()], forward());
  co_return Empty();
}

asio::awaitable<Result<Empty>> UpdateContainer(Pod& pod, grpc::UpdateContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  co_return Done(locked.entry->container->Update(request.resources()));
}

asio::awaitable<Result<Empty>> PauseContainer(Pod& pod, grpc::PauseContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  co_return Done(co_await locked.entry->container->Pause());
}

asio::awaitable<Result<Empty>> ResumeContainer(Pod& pod, grpc::ResumeContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(pod, request.container_id()));
  co_return Done(co_await locked.entry->container->Resume());
}

Result<grpc::StatsContainerResponse> StatsContainer(Pod& pod, const grpc::StatsContainerRequest& request) {
  const auto entry = TRY(pod.Find(request.container_id()));
  grpc::StatsContainerResponse reply;
  *reply.mutable_cgroup_stats() = TRY(entry->container->Stats());
  for (auto& stats : TRY(InterfaceStats())) *reply.add_network_stats() = std::move(stats);
  return reply;
}

}  // namespace

void AddContainerMethods(rpc::MethodTable& table, Pod& pod) {
  Add(table, pod, "CreateContainer", CreateContainer);
  Add(table, pod, "StartContainer", StartContainer);
  Add(table, pod, "RemoveContainer", RemoveContainer);
  Add(table, pod, "ExecProcess", ExecProcess);
  Add(table, pod, "ForwardPort", ForwardPort);
  Add(table, pod, "ForwardNames", ForwardNames);
  Add(table, pod, "UpdateContainer", UpdateContainer);
  Add(table, pod, "PauseContainer", PauseContainer);
  Add(table, pod, "ResumeContainer", ResumeContainer);
  Add(table, pod, "StatsContainer", StatsContainer);
}

}  // namespace kata::agent
