// SPDX-License-Identifier: Apache-2.0
#include "sandbox/sandbox.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"
#include "oci/guest_spec.h"
#include "oci/pod.h"
#include "protocol/guest_contract.h"
#include "sandbox/devices/guest_devices.h"
#include "sandbox/files/disk_mounts.h"
#include "sandbox/files/huge_pages.h"

namespace kata::sandbox {
namespace {

// How long containers may take to end after a signal that ends all. systemd's own patience is 90 s by default, and the
// VM has to end in order before that.
constexpr std::chrono::milliseconds kStopTime{80000};
// How long the end of a container waits for the statuses of its execs, which end with it.
constexpr std::chrono::milliseconds kExecEndDelay{1000};
// How long it then waits for slow readers of the last output.
constexpr std::chrono::milliseconds kSlowReaderTime{5000};
// For RemoveContainer. The agent itself gives up after 30 s.
constexpr std::chrono::milliseconds kRemoveTime{35000};

}  // namespace

Status Container::status() const {
  if (!init) return Status::kCreating;
  if (init->status() == ContainerProcess::Status::kStopped) return Status::kStopped;
  if (paused) return Status::kPaused;
  return init->status() == ContainerProcess::Status::kRunning ? Status::kRunning : Status::kCreated;
}

Sandbox::Sandbox(const asio::any_io_executor& executor, SandboxParts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      growth_(std::make_shared<Growth>(parts_.vm, std::move(parts_.growth))),
      end_(executor),
      vm_gone_(executor) {
  // Shares the ownership of the Vm, so that the hypervisor cannot be destroyed while it is in use.
  std::shared_ptr<hypervisor::Hypervisor> vm(parts_.vm, &parts_.vm->hypervisor());
  disks_ = std::make_shared<Disks>(executor_, std::move(vm), parts_.mounts);
}

Result<oci::Bundle> Sandbox::TakeBundle(const std::string& path) {
  if (parts_.bundle && parts_.bundle->path == path) {
    oci::Bundle bundle = *std::move(parts_.bundle);
    parts_.bundle.reset();
    return bundle;
  }
  return parts_.mounts.OnHost([&] { return oci::LoadBundle(path); });
}

asio::awaitable<Result<>> Sandbox::CreateContainer(std::shared_ptr<Container> container, ContainerFiles files,
                                                   ContainerProcess::Setup setup) {
  auto self = shared_from_this();
  std::weak_ptr<Sandbox> weak = self;
  setup.on_end = [weak](ContainerProcess& process) {
    if (auto sandbox = weak.lock()) sandbox->OnEnd(process);
  };
  setup.kill_patience = [weak] {
    const auto sandbox = weak.lock();
    return sandbox ? sandbox->vm().KillPatience(sandbox->HasDisks() || sandbox->containers_.size() > 1)
                   : Patience(std::chrono::milliseconds(1));
  };
  State* record = RecordOf(*container);
  if (record != nullptr && setup.standin) {
    if (auto standin = IdentifyProcess(setup.standin->pid())) record->standin = *standin;
  }
  if (container->record) {
    CO_TRY(Store(*container));
  } else if (parts_.root >= 0) {
    home_ = container;
  }
  // Created before the guest knows of the container, so that a stand-in that is killed in the meantime is noticed.
  auto process = ContainerProcess::Create(executor_, std::move(setup));
  process->Begin();
  auto created = co_await CreateInGuest(*container, files, process->terminal());
  if (!created) {
    growth_->Forget(container->id);
    co_await Unshare(container);
    process->End(kKilledStatus);
    co_return tl::unexpected<Error>(co_await vm().Explain(std::move(created).error()));
  }
  if (const auto vmm = vm().hypervisor().Pids(); !vmm.empty()) process->RunsIn(vmm.front());
  container->init = process;
  parts_.host_limits.Set(container->id, files.bundle.spec.linux().resources());
  process->Follow(vm().agent());
  if (record != nullptr) record->rootfs = files.bundle.rootfs;
  if (auto stored = Store(*container); !stored) {
    // A container without a record could not be found again, so it must not stay in the guest.
    container->init.reset();
    parts_.host_limits.Forget(container->id);
    process->End(kKilledStatus);
    auto removed = co_await vm().agent()->RemoveContainer(container->id, vm().PatienceFor(kRemoveTime));
    if (!removed) log::Warn("the agent cannot remove {}: {}", container->id, removed.error().message());
    growth_->Forget(container->id);
    co_await Unshare(container);
    co_return stored;
  }
  if (parts_.on_created) std::exchange(parts_.on_created, nullptr)();
  FindHome();
  co_return Result<>();
}

asio::awaitable<Result<>> Sandbox::CreateInGuest(Container& container, ContainerFiles& files, bool terminal) {
  auto self = shared_from_this();
  grpc::CreateContainerRequest request;
  request.set_container_id(container.id);
  request.set_exec_id(container.id);
  grpc::Spec& spec = *request.mutable_oci();
  if (parts_.pod_spec) oci::AddPodDefaults(*parts_.pod_spec, files.bundle.spec);
  if (parts_.pod) {
    oci::PodSpec pod = oci::GuestSpecOfPod(files.bundle.spec);
    spec = std::move(pod.guest);
    CO_TRY(SetPidNamespace(container, pod.shares_pid, request));
  } else {
    spec = oci::GuestSpec(files.bundle.spec);
    CO_TRY(JoinNamespaces(files.bundle.spec, spec));
  }
  const grpc::LinuxResources& limits = files.bundle.spec.linux().resources();
  // The size of the VM that boots is planned already (PlanSize).
  if (!IsFirst(container)) CO_TRY(growth_->Check(container.id, limits));
  if (!parts_.guest_seccomp) spec.mutable_linux()->clear_seccomp();
  spec.mutable_process()->set_terminal(terminal);
  // Done while the VM boots.
  CO_TRY(PrepareFiles(container, files, request));
  if (parts_.pod_spec) JoinPodShm(spec);
  CO_TRY(SizeHugePages(request));
  CO_TRY(co_await vm().Ready());
  auto began = Timing::Clock::now();
  CO_TRY(co_await growth_->Admit(container.id, limits));
  CO_TRY(co_await container.disks->Plug(request));
  auto created = co_await vm().agent()->CreateContainer(std::move(request), vm().CreatePatience());
  if (!created) co_return tl::unexpected<Error>(container.disks->Explain(std::move(created).error()));
  growth_->Taken(container.id);
  vm().timing().Record(Phase::kContainer, began);
  co_return Result<>();
}

Result<> Sandbox::JoinNamespaces(const grpc::Spec& host, grpc::Spec& guest) const {
  for (int i = 0; i < host.linux().namespaces_size(); ++i) {
    const grpc::LinuxNamespace& space = host.linux().namespaces(i);
    if (space.path().empty() || space.type() == "network") continue;
    const auto other = std::find_if(containers_.begin(), containers_.end(), [&](const auto& entry) {
      const auto& init = entry.second->init;
      return init && init->has_standin() && init->pid() == oci::PidInPath(space) &&
             entry.second->status() != Status::kStopped;
    });
    if (other == containers_.end() && !oci::IsOfPod(host)) return tl::unexpected(oci::CannotJoin(i, space));
    std::string path;
    if (other != containers_.end()) {
      path = contract::kNamespaceOfContainer + other->first;
    } else if (space.type() == "ipc" || space.type() == "uts") {
      // One that the pod's manager keeps for it. Any path means the one that the guest has for all.
      path = "/proc/1/ns/" + space.type();
    }
    for (grpc::LinuxNamespace& own : *guest.mutable_linux()->mutable_namespaces()) {
      if (own.type() == space.type()) own.set_path(path);
    }
  }
  return {};
}

// Decides which pid namespace a container joins. The path of the namespace in the spec does not tell, since the pid of
// every task is the VMM's. If the pod shares a pid namespace, no container has one of its own. So if a running
// container has its own, that one is meant (`kubectl debug --target`).
Result<> Sandbox::SetPidNamespace(Container& container, bool joins, grpc::CreateContainerRequest& request) const {
  container.own_pid_namespace = !joins;
  if (!joins) return {};
  std::string target;
  for (const auto& [id, other] : containers_) {
    const bool runs = other->init && other->status() != Status::kStopped;
    if (!other->own_pid_namespace || !runs || id == parts_.state.id) continue;
    if (!target.empty()) {
      return Fail(Code::kUnimplemented,
                  "linux.namespaces: the container wants the pid namespace of another one, and it cannot be told which "
                  "is meant: {} or {}",
                  target, id);
    }
    target = id;
  }
  request.set_sandbox_pidns(target.empty());
  for (grpc::LinuxNamespace& space : *request.mutable_oci()->mutable_linux()->mutable_namespaces()) {
    if (space.type() == "pid" && !target.empty()) space.set_path(contract::kNamespaceOfContainer + target);
  }
  return {};
}

Result<> Sandbox::PrepareFiles(Container& container, ContainerFiles& files, grpc::CreateContainerRequest& request) {
  container.disks = std::make_shared<ContainerDisks>(disks_, container.id, parts_.block_devices);
  ContainerDisks& disks = *container.disks;
  TRY(TranslateDevices(disks, request));
  if (parts_.shared_files) {
    HostFiles host{.bundle = files.bundle.path, .rootfs = files.bundle.rootfs, .pod = parts_.pod};
    if (disks.allowed() && IsRootfsOnDisk(files.rootfs)) {
      TRY(PutRootfsOnDisk(files.rootfs, disks, request));
      host.rootfs_on_disk = true;
    } else if (!files.rootfs.empty()) {
      host.rootfs_tree = TRY(MountRootfs(files.rootfs, host.rootfs, parts_.mounts));
    }
    TRY(ShareWithGuest(*parts_.shared_files, parts_.mounts, container.id, std::move(host), request, disks,
                       container.shared));
  }
  if (request.oci().linux().has_resources()) {
    TranslateRules(disks.nodes(), *request.mutable_oci()->mutable_linux()->mutable_resources());
  }
  return {};
}

asio::awaitable<Result<>> Sandbox::UpdateContainer(std::string id, grpc::LinuxResources resources) {
  auto self = shared_from_this();
  CO_TRY(co_await growth_->Admit(id, resources));
  const grpc::LinuxResources before = parts_.host_limits.Of(id);
  parts_.host_limits.Update(id, resources);
  if (auto limited = LimitHost(); !limited) {
    parts_.host_limits.Set(id, before);
    growth_->Refused(id);
    co_return limited;
  }
  grpc::Spec spec;
  // Device rules stay as they were at creation. Limits that name devices of the host by number have no meaning in the
  // guest.
  resources.clear_devices();
  TranslateRules({}, resources);
  *spec.mutable_linux()->mutable_resources() = std::move(resources);
  grpc::Spec guest = oci::GuestSpec(spec);
  auto updated = co_await vm().agent()->UpdateContainer(id, std::move(*guest.mutable_linux()->mutable_resources()));
  updated ? growth_->Taken(id) : growth_->Refused(id);
  if (!updated) {
    parts_.host_limits.Set(id, before);
    if (auto limited = LimitHost(); !limited) log::Warn("{}", limited.error().message());
  }
  co_return updated;
}

asio::awaitable<void> Sandbox::Unshare(std::shared_ptr<Container> container) {
  for (auto name = container->shared.rbegin(); name != container->shared.rend(); ++name) {
    auto removed = parts_.shared_files->Remove(*name);
    if (!removed) log::Warn("{}", removed.error().message());
  }
  container->shared.clear();
  // When the sandbox ends, the disks go with the VM.
  if (container->disks && !ending()) co_await container->disks->Release();
}

asio::awaitable<void> Sandbox::RemoveContainer(std::shared_ptr<Container> container) {
  auto self = shared_from_this();
  containers_.erase(container->id);
  parts_.host_limits.Forget(container->id);
  if (!ending()) {
    if (auto limited = LimitHost(); !limited) log::Warn("{}", limited.error().message());
  }
  // Nobody reads what a process that outlives the container's own still writes.
  container->late_outputs.Stop();
  if (container->init) container->init->stdio().Stop();
  for (const auto& [id, exec] : container->execs) exec->stdio().Stop();
  // When the sandbox ends, the whole VM ends, which is quicker than removing the container.
  if (!ending()) {
    const bool has_disks = container->disks && !container->disks->empty();
    Patience patience = vm().PatienceFor(has_disks ? kWriteBackTime : kRemoveTime);
    auto removed = co_await vm().agent()->RemoveContainer(container->id, std::move(patience));
    if (!removed) log::Warn("the agent cannot remove {}: {}", container->id, removed.error().message());
    co_await Unshare(container);
    growth_->Forget(container->id);
  } else if (container->disks && !container->disks->empty()) {
    // The caller may remove the container's devices and images next, so the VM must have released them.
    co_await vm_gone_.Wait();
  }
  FindHome();
  // Its directory is about to be removed.
  if (IsFirst(*container) && parts_.root >= 0) parts_.directory = -1;
}

bool Sandbox::HasDisks() const {
  return std::any_of(containers_.begin(), containers_.end(),
                     [](const auto& entry) { return entry.second->disks && !entry.second->disks->empty(); });
}

void Sandbox::OnEnd(ContainerProcess& process) {
  auto found = containers_.find(process.container());
  if (found == containers_.end()) return;
  found->second->late_outputs.Add(process.stdio().shared_from_this());
  // Before the record says it: who reads that may remove the container's directory and cgroups.
  FindHome();
  if (State* record = RecordOf(*found->second)) {
    record->status = Status::kStopped;
    record->exit_status = process.exit_status();
    record->exited_at = FormatTime(process.exited_at_seconds(), process.exited_at_nanoseconds());
    auto stored = Store(*found->second);
    if (!stored) log::Error("the end of {} is not recorded: {}", process.container(), stored.error().message());
  }
  asio::co_spawn(executor_, EndIfAllEnded(shared_from_this(), found->second), asio::detached);
}

void Sandbox::TellEnd(Container& container) {
  if (container.settled.happened()) return;
  // A container whose creation failed has never been visible to anybody.
  if (on_init_end_ && container.init) on_init_end_(*container.init);
  container.settled.Happen();
}

bool Sandbox::EndsWithContainers() const {
  if (parts_.standing) return false;
  return std::all_of(containers_.begin(), containers_.end(),
                     [](const auto& entry) { return entry.second->status() == Status::kStopped; });
}

asio::awaitable<void> Sandbox::EndIfAllEnded(std::shared_ptr<Sandbox> self, std::shared_ptr<Container> container) {
  if (!self->ending() && !self->EndsWithContainers()) self->TellEnd(*container);
  // The execs ended with the container's pid namespace, or just before. This waits until their own statuses are known.
  auto execs = container->execs;
  auto deadline = std::chrono::steady_clock::now() + kExecEndDelay;
  for (const auto& [id, exec] : execs) {
    // An exec that was added but not started ends with the sandbox.
    if (!exec->begun()) continue;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    co_await exec->ended().WaitFor(std::max(left, std::chrono::milliseconds(0)));
  }
  const bool killed = !container->init || container->init->expects_end();
  if (!killed) co_await container->late_outputs.AwaitEnd(kSlowReaderTime);
  if (self->EndsWithContainers()) self->RequestEnd(/*now=*/false);
  // A manager knows the container by the VMM's pid. The VMM must have gone when the manager is told of the end.
  if (self->ending()) co_await self->vm_gone_.Wait();
  self->TellEnd(*container);
}

void Sandbox::RequestEnd(bool now) {
  end_now_ |= now;
  end_.Happen();
}

asio::awaitable<void> Sandbox::Stop(std::shared_ptr<Sandbox> self, int signal) {
  const auto deadline = std::chrono::steady_clock::now() + kStopTime;
  const auto home = self->home_;
  std::vector<std::shared_ptr<Container>> containers;
  for (const auto& [id, container] : self->containers_) {
    if (container->init && (!home || container == home)) containers.push_back(container);
  }
  // The pod's first container is told last: for a manager the pod ends with it.
  for (const bool first : {false, true}) {
    std::vector<std::shared_ptr<ContainerProcess>> told;
    for (const auto& container : containers) {
      if (self->IsFirst(*container) == first) told.push_back(container->init);
    }
    for (const auto& init : told) {
      if (!init->has_standin()) init->SignalAll(signal);
    }
    for (const auto& init : told) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      co_await init->ended().WaitFor(std::max(left, std::chrono::milliseconds(0)));
    }
  }
  // In another's cgroup by now, which has not been stopped.
  if (self->home_ != home) co_return;
  // With its last container the sandbox ends by itself, which may still wait for the readers of its output.
  if (containers.empty() || !self->EndsWithContainers()) self->RequestEnd(/*now=*/false);
}

asio::awaitable<void> Sandbox::WatchVm(std::shared_ptr<Sandbox> self) {
  co_await self->vm().failed().Wait();
  self->parts_.state.failure = self->vm().failure();
  self->RequestEnd(/*now=*/true);
}

// For a standing sandbox that waits for its first container: nothing else would record the VMM's pids and the status.
asio::awaitable<void> Sandbox::RecordVm(std::shared_ptr<Sandbox> self) {
  co_await self->vm().vm_settled().Wait();
  // Run writes the last record.
  if (self->ending() || self->vm().failed().happened()) co_return;
  if (auto stored = self->Store(); !stored) log::Error("{}", stored.error().message());
  auto ready = co_await self->vm().Ready();
  if (!ready) log::Error("the sandbox is not ready: {}", ready.error().message());
  if (!ready || self->ending() || self->parts_.state.status != Status::kCreating) co_return;
  self->parts_.state.status = Status::kRunning;
  if (auto stored = self->Store(); !stored) log::Error("{}", stored.error().message());
}

void Sandbox::EndAllProcesses() {
  // Copies, since the callbacks of an end may remove entries.
  auto containers = containers_;
  for (auto& [id, container] : containers) {
    auto execs = container->execs;
    for (auto& [exec, process] : execs) process->End(kKilledStatus);
    if (container->init) container->init->End(kKilledStatus);
  }
}

asio::awaitable<bool> Sandbox::Run(std::shared_ptr<Sandbox> self) {
  asio::co_spawn(self->executor_, WatchVm(self), asio::detached);
  if (self->standing()) asio::co_spawn(self->executor_, RecordVm(self), asio::detached);
  co_await self->end_.Wait();
  co_await self->vm().Stop(!self->end_now_, self->HasDisks());
  self->vm_gone_.Happen();
  self->EndAllProcesses();
  State& state = self->parts_.state;
  state.status = Status::kStopped;
  if (state.exited_at.empty()) {
    state.exit_status = kKilledStatus;
    state.exited_at = FormatNow();
  }
  auto stored = self->Store();
  if (!stored) log::Error("the end of the sandbox is not recorded: {}", stored.error().message());
  co_return state.failure.empty();
}

}  // namespace kata::sandbox
