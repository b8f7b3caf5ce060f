// SPDX-License-Identifier: Apache-2.0
// The calls about one container: its life from CreateContainer to RemoveContainer, and what is done to all of it.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "agent/devices.h"
#include "agent/forward.h"
#include "agent/method.h"
#include "agent/network/interfaces.h"
#include "agent/reaper.h"
#include "agent/services.h"
#include "agent/user.h"
#include "base/files.h"

namespace kata::agent {

namespace {

// The path of a pid namespace that is another container's; its id follows.
constexpr std::string_view kOfContainer = "container:";

// What this agent cannot do is said before anything is made.
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

// Where a container's root is, as seen by everything after the bind mount.
std::string RootfsPath(const Sandbox& sandbox, const std::string& id) {
  return sandbox.root().path() + "/" + id + "/rootfs";
}

// The spec's root is a folder that the host shares. It gets a mount of its own, which pivot_root needs.
Result<> MountRootfs(Sandbox& sandbox, ContainerEntry& entry, grpc::Spec& spec) {
  const std::string& path = spec.root().path();
  const auto source = TRY(Context(sandbox.root().OpenExisting(path, O_PATH | O_DIRECTORY), "root.path"));
  const std::string target = RootfsPath(sandbox, entry.id);
  if (path == target) return {};
  TRY(sandbox.root().MakeDirs(target, 0700));
  const auto place = TRY(sandbox.root().Find(target, false));
  TRY(BindMount(source.get(), place, 0, MS_PRIVATE | MS_REC));
  entry.rootfs_mounted = true;
  spec.mutable_root()->set_path(target);
  return {};
}

Result<> SetUser(Sandbox& sandbox, const std::string& id, const grpc::StringUser& names, grpc::Process& process) {
  const auto rootfs = TRY(sandbox.root().OpenExisting(RootfsPath(sandbox, id), O_PATH | O_DIRECTORY));
  return Context(ResolveUser(rootfs.get(), names, *process.mutable_user()), "string_user");
}

Result<Pipes> PipesFor(const Sandbox& sandbox, const grpc::Process& process) {
  return MakePipes(process.terminal(), process.consolesize().height(), process.consolesize().width(),
                   sandbox.options().pipe_size);
}

Result<ContainerOptions> Prepare(Sandbox& sandbox, ContainerEntry& entry, grpc::CreateContainerRequest& request) {
  ContainerOptions options;
  options.id = entry.id;
  options.spec.Swap(request.mutable_oci());
  TRY(MountRootfs(sandbox, entry, options.spec));
  if (request.has_string_user()) {
    TRY(SetUser(sandbox, entry.id, request.string_user(), *options.spec.mutable_process()));
  }
  options.ipc_namespace = TRY(Duplicate(sandbox.namespaces().ipc));
  options.uts_namespace = TRY(Duplicate(sandbox.namespaces().uts));
  if (request.sandbox_pidns()) {
    // The host learns only now whether the pod's containers share one.
    TRY(NeedPidNamespace(sandbox.namespaces()));
    options.pid_namespace = TRY(Duplicate(sandbox.namespaces().pid));
    // The flag is an order; a namespace without a path would be one of the container's own.
    for (auto& wanted : *options.spec.mutable_linux()->mutable_namespaces()) {
      if (wanted.type() == "pid") wanted.set_path("/proc/1/ns/pid");
    }
  }
  for (const auto& wanted : options.spec.linux().namespaces()) {
    if (wanted.type() == "pid" && wanted.path().starts_with(kOfContainer)) {
      const auto other = TRY(Context(sandbox.Find(wanted.path().substr(kOfContainer.size())), "linux.namespaces"));
      options.pid_namespace = TRY(Open(fmt::format("/proc/{}/ns/pid", other->init->pid()), O_RDONLY));
    }
  }
  options.cgroup_mount = sandbox.options().cgroup_mount;
  options.protected_devices = sandbox.protected_devices;
  return options;
}

asio::awaitable<Result<>> Make(Sandbox& sandbox, std::shared_ptr<ContainerEntry> entry,
                               grpc::CreateContainerRequest request) {
  CO_TRY_ASSIGN(entry->storages, co_await sandbox.AddStorages(request.storages()));
  CO_TRY(co_await AddDevices(sandbox.executor(), request.devices(), *request.mutable_oci(),
                             sandbox.options().hotplug_timeout));
  CO_TRY_ASSIGN(auto options, Prepare(sandbox, *entry, request));
  CO_TRY_ASSIGN(auto pipes, PipesFor(sandbox, options.spec.process()));
  const Reaper::Hold hold;
  ProcessIo io = std::move(pipes.child);
  CO_TRY_ASSIGN(entry->container, co_await Container::Create(sandbox.executor(), std::move(options), std::move(io)));
  StartedProcess started = std::move(entry->container->init());
  CO_TRY_ASSIGN(entry->init, Process::Adopt(sandbox.executor(), std::move(started), std::move(pipes)));
  co_return Result<>();
}

asio::awaitable<Result<Empty>> CreateContainer(Sandbox& sandbox, grpc::CreateContainerRequest request) {
  CO_TRY(CheckRequest(request));
  CO_TRY_ASSIGN(auto entry, sandbox.Reserve(request.container_id()));
  auto guard = co_await entry->lock.Acquire();
  auto made = co_await Make(sandbox, entry, std::move(request));
  if (!made) {
    auto removed = co_await sandbox.Remove(entry);
    if (!removed) log::Warn("container {}: {}", entry->id, removed.error().message());
  }
  co_return Done(std::move(made));
}

// Reports every process that the container loses for want of memory, as long as it exists.
asio::awaitable<void> WatchOom(Sandbox& sandbox, std::shared_ptr<ContainerEntry> entry) {
  while (entry->container) {
    auto event = co_await entry->container->WaitOom();
    if (!event) co_return;
    log::Warn("container {}: a process was killed for want of memory", entry->id);
    sandbox.ReportOom(entry->id);
  }
}

// The entry, once nobody else is changing it.
struct Locked {
  std::shared_ptr<ContainerEntry> entry;
  Lock::Guard guard;
};

asio::awaitable<Result<Locked>> FindLocked(Sandbox& sandbox, std::string id) {
  CO_TRY_ASSIGN(auto entry, sandbox.Find(id));
  auto guard = co_await entry->lock.Acquire();
  if (entry->removed) co_return Fail(Code::kNotFound, "container {} does not exist any more", id);
  Locked locked{std::move(entry), std::move(guard)};
  co_return locked;
}

asio::awaitable<Result<Empty>> StartContainer(Sandbox& sandbox, grpc::StartContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(sandbox, request.container_id()));
  const Reaper::Hold hold;
  CO_TRY(co_await locked.entry->container->Start());
  asio::co_spawn(sandbox.executor(), WatchOom(sandbox, locked.entry), asio::detached);
  co_return Empty();
}

asio::awaitable<Result<Empty>> RemoveContainer(Sandbox& sandbox, grpc::RemoveContainerRequest request) {
  CO_TRY_ASSIGN(auto found, sandbox.Find(request.container_id()));
  // Killed before the lock is had: whoever has it may be waiting for one of these processes.
  (void)found->container->SignalAll(SIGKILL);
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(sandbox, request.container_id()));
  co_return Done(co_await sandbox.Remove(locked.entry));
}

asio::awaitable<Result<Empty>> ExecProcess(Sandbox& sandbox, grpc::ExecProcessRequest request) {
  CO_TRY(CheckId("exec id", request.exec_id()));
  if (request.stdin_port() != 0 || request.stdout_port() != 0 || request.stderr_port() != 0) {
    co_return Fail(Code::kUnimplemented, "stdin_port, stdout_port and stderr_port are not implemented");
  }
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(sandbox, request.container_id()));
  ContainerEntry& entry = *locked.entry;
  if (request.exec_id() == entry.id || entry.execs.contains(request.exec_id())) {
    co_return Fail(Code::kAlreadyExists, "container {} has a process \"{}\" already", entry.id, request.exec_id());
  }
  if (request.has_string_user()) {
    CO_TRY(SetUser(sandbox, entry.id, request.string_user(), *request.mutable_process()));
  }
  CO_TRY_ASSIGN(auto pipes, PipesFor(sandbox, request.process()));
  const Reaper::Hold hold;
  ProcessIo io = std::move(pipes.child);
  grpc::Process process = std::move(*request.mutable_process());
  CO_TRY_ASSIGN(auto started, co_await entry.container->Exec(std::move(process), std::move(io)));
  CO_TRY_ASSIGN(auto adopted, Process::Adopt(sandbox.executor(), std::move(started), std::move(pipes)));
  entry.execs[request.exec_id()] = std::move(adopted);
  co_return Empty();
}

// The process counts as one of the container's execs, though it is outside of it.
asio::awaitable<Result<Empty>> ForwardPort(Sandbox& sandbox, grpc::ForwardPortRequest request) {
  CO_TRY(CheckId("exec id", request.exec_id()));
  if (request.port() == 0 || request.port() > UINT16_MAX) {
    co_return Fail(Code::kInvalidArgument, "{} is no port", request.port());
  }
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(sandbox, request.container_id()));
  auto& slot = locked.entry->execs[request.exec_id()];
  if (slot) co_return Fail(Code::kAlreadyExists, "there is a process \"{}\" already", request.exec_id());
  auto forward = [&]() -> Result<std::shared_ptr<Process>> {
    Pipes pipes = TRY(MakePipes(false, 0, 0, 0));
    StartedProcess started = TRY(StartForward(static_cast<uint16_t>(request.port()), std::move(pipes.child)));
    return Process::Adopt(sandbox.executor(), std::move(started), std::move(pipes));
  };
  auto process = forward();
  if (!process) {
    locked.entry->execs.erase(request.exec_id());
    co_return tl::unexpected<Error>(std::move(process).error());
  }
  slot = *std::move(process);
  co_return Empty();
}

asio::awaitable<Result<Empty>> UpdateContainer(Sandbox& sandbox, grpc::UpdateContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(sandbox, request.container_id()));
  co_return Done(locked.entry->container->Update(request.resources()));
}

asio::awaitable<Result<Empty>> PauseContainer(Sandbox& sandbox, grpc::PauseContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(sandbox, request.container_id()));
  co_return Done(co_await locked.entry->container->Pause());
}

asio::awaitable<Result<Empty>> ResumeContainer(Sandbox& sandbox, grpc::ResumeContainerRequest request) {
  CO_TRY_ASSIGN(auto locked, co_await FindLocked(sandbox, request.container_id()));
  co_return Done(co_await locked.entry->container->Resume());
}

Result<grpc::StatsContainerResponse> StatsContainer(Sandbox& sandbox, const grpc::StatsContainerRequest& request) {
  const auto entry = TRY(sandbox.Find(request.container_id()));
  grpc::StatsContainerResponse reply;
  *reply.mutable_cgroup_stats() = TRY(entry->container->Stats());
  for (auto& stats : TRY(InterfaceStats())) *reply.add_network_stats() = std::move(stats);
  return reply;
}

}  // namespace

void AddContainerMethods(rpc::MethodTable& table, Sandbox& sandbox) {
  Add(table, sandbox, "CreateContainer", CreateContainer);
  Add(table, sandbox, "StartContainer", StartContainer);
  Add(table, sandbox, "RemoveContainer", RemoveContainer);
  Add(table, sandbox, "ExecProcess", ExecProcess);
  Add(table, sandbox, "ForwardPort", ForwardPort);
  Add(table, sandbox, "UpdateContainer", UpdateContainer);
  Add(table, sandbox, "PauseContainer", PauseContainer);
  Add(table, sandbox, "ResumeContainer", ResumeContainer);
  Add(table, sandbox, "StatsContainer", StatsContainer);
}

}  // namespace kata::agent
