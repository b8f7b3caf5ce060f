// SPDX-License-Identifier: Apache-2.0
// The calls of the Task service that make, start and remove containers and execs.
#include <signal.h>

#include <algorithm>

#include "base/log.h"
#include "oci/parse.h"
#include "oci/validate.h"
#include "sandbox/files/guest_mounts.h"
#include "sandbox/task/forward_names.h"
#include "sandbox/task/process_reply.h"
#include "sandbox/task/runtime_error.h"
#include "sandbox/task/task_client.h"
#include "sandbox/task/task_service.h"

namespace kata::sandbox {
namespace {

// How long Delete of an exec waits for other processes in the container that hold its outputs open.
constexpr std::chrono::milliseconds kExecOutputTime{2000};

std::string ExecKey(const std::string& container, const std::string& exec) { return container + "/" + exec; }

}  // namespace

asio::awaitable<Result<>> TaskService::Attach(ContainerProcess::Setup& setup, std::string in, std::string out,
                                              std::string err) {
  StdioRequest request{.container = setup.container, .exec = setup.exec, .terminal = setup.terminal};
  request.in = setup.names.in = std::move(in);
  request.out = setup.names.out = std::move(out);
  request.err = setup.names.err = std::move(err);
  CO_TRY_ASSIGN(auto attached, co_await interface_.stdio->Attach(std::move(request)));
  setup.stdio = std::move(attached.stdio);
  setup.standin = std::move(attached.standin);
  setup.foreground = std::move(attached.foreground);
  co_return Result<>();
}

asio::awaitable<Result<task::CreateTaskResponse>> TaskService::Create(task::CreateTaskRequest request) {
  CO_TRY(oci::ValidateId(request.id()));
  if (!request.checkpoint().empty()) co_return Fail(Code::kUnimplemented, "Create: checkpoints are not supported");
  if (sandbox_->ending()) co_return Fail(Code::kUnavailable, "the sandbox is being ended");
  auto& containers = sandbox_->containers();
  auto container = std::make_shared<Container>(sandbox_->executor());
  container->id = request.id();
  // Claims the id before anything suspends, so that of two concurrent creates one wins.
  if (!containers.emplace(request.id(), container).second) {
    co_return Fail(Code::kAlreadyExists, "container {} already exists", request.id());
  }
  auto created = AsRuntimeError(co_await CreateNamed(container, std::move(request)));
  if (!created) {
    if (hooks_) co_await hooks_->Stopped(container->id);
    containers.erase(container->id);
    // A sandbox whose containers have all ended has nothing to run.
    if (sandbox_->EndsWithContainers()) sandbox_->RequestEnd(/*now=*/containers.empty());
    sandbox_->FindHome();
  }
  container->created.Happen();
  co_return created;
}

asio::awaitable<Result<task::CreateTaskResponse>> TaskService::CreateNamed(std::shared_ptr<Container> container,
                                                                           task::CreateTaskRequest request) {
  CO_TRY(sandbox_->OpenRecord(*container));
  CO_TRY_ASSIGN(auto bundle, sandbox_->TakeBundle(request.bundle()));
  for (const std::string& warning : bundle.warnings) log::Warn("{}", warning);
  container->bundle = bundle.path;
  container->resolv_conf = ResolvConfOf(bundle.spec, bundle.path);
  if (request.terminal()) bundle.spec.mutable_process()->set_terminal(true);
  ContainerProcess::Setup setup;
  setup.container = container->id;
  setup.terminal = bundle.spec.process().terminal();
  CO_TRY(co_await Attach(setup, request.stdin(), request.stdout(), request.stderr()));
  if (hooks_) {
    hooks_->Note(container->id, bundle);
    CO_TRY(co_await hooks_->Created(container->id));
  }
  ContainerFiles files{.bundle = std::move(bundle), .rootfs = request.rootfs()};
  CO_TRY(co_await sandbox_->CreateContainer(container, std::move(files), std::move(setup)));
  AnnounceCreate(request, *container->init);
  task::CreateTaskResponse reply;
  reply.set_pid(static_cast<uint32_t>(container->init->pid()));
  co_return reply;
}

asio::awaitable<Result<task::StartResponse>> TaskService::Start(task::StartRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  HoldExit(*process);
  Result<> started;
  if (request.exec_id().empty()) {
    started = co_await StartInit(container);
  } else {
    started = co_await StartExec(container, process);
  }
  AnnounceStart(*process, started.has_value());
  CO_TRY(started);
  task::StartResponse reply;
  reply.set_pid(static_cast<uint32_t>(process->pid()));
  co_return reply;
}

asio::awaitable<Result<>> TaskService::StartInit(std::shared_ptr<Container> container) {
  Status status = container->status();
  if (status == Status::kStopped)
    co_return Fail(Code::kFailedPrecondition, "cannot start a container that has stopped");
  if (status != Status::kCreated || container->starting) {
    co_return Fail(Code::kFailedPrecondition, "cannot start an already running container");
  }
  CO_TRY(sandbox_->LimitHost());
  container->starting = true;
  auto began = Timing::Clock::now();
  Vm& vm = sandbox_->vm();
  if (auto names = co_await ForwardNames(sandbox_, container); !names) {
    log::Warn("{} cannot ask its engine for names: {}", container->id, names.error().message());
  }
  // An engine may have configured the network after the creation, as Podman does with a user namespace of its own.
  auto started = co_await vm.Ready();
  if (started) started = AsRuntimeError(co_await vm.agent()->StartContainer(container->id, vm.CreatePatience()));
  container->starting = false;
  CO_TRY(started);
  vm.timing().Record(Phase::kStart, began);
  container->init->MarkRunning();
  CO_TRY(sandbox_->Store(*container));
  if (!hooks_) co_return Result<>();
  auto hooked = co_await hooks_->Started(container->id);
  if (!hooked) {
    AgentProcess target = container->init->agent_process();
    (void)co_await vm.agent()->SignalProcess(target, SIGKILL);
  }
  co_return hooked;
}

asio::awaitable<Result<wkt::Empty>> TaskService::Exec(task::ExecProcessRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY(oci::ValidateId(request.exec_id()));
  if (container->status() == Status::kStopped) {
    co_return Fail(Code::kFailedPrecondition, "cannot exec in a stopped container");
  }
  if (container->execs.contains(request.exec_id()) || request.exec_id() == container->id) {
    co_return Fail(Code::kAlreadyExists, "exec {} already exists in container {}", request.exec_id(), request.id());
  }
  CO_TRY_ASSIGN(grpc::Process spec, oci::ParseProcess(request.spec().value()));
  CO_TRY(oci::ValidateProcess(spec));
  spec.set_terminal(request.terminal());
  // Labels have a meaning for the host's kernel only.
  spec.clear_apparmorprofile();
  spec.clear_selinuxlabel();

  ContainerProcess::Setup setup;
  setup.container = container->id;
  setup.exec = request.exec_id();
  if (!container->init->has_standin()) setup.vmm = container->init->pid();
  setup.terminal = request.terminal();
  CO_TRY(AsRuntimeError(co_await Attach(setup, request.stdin(), request.stdout(), request.stderr())));
  std::weak_ptr<Container> weak = container;
  setup.on_end = [this, weak](ContainerProcess& process) {
    AnnounceExit(process);
    const auto of = weak.lock();
    if (of) of->late_outputs.Add(process.stdio().shared_from_this());
    if (!process.has_standin()) return;
    // Nobody asks for this exec again: its status goes to the stand-in.
    exec_specs_.erase(ExecKey(process.container(), process.exec()));
    if (of) of->execs.erase(process.exec());
  };
  if (container->execs.contains(request.exec_id())) {
    co_return Fail(Code::kAlreadyExists, "exec {} already exists in container {}", request.exec_id(), request.id());
  }
  container->execs[request.exec_id()] = ContainerProcess::Create(sandbox_->executor(), std::move(setup));
  exec_specs_[ExecKey(request.id(), request.exec_id())] = std::move(spec);
  containerd::events::TaskExecAdded added;
  added.set_container_id(request.id());
  added.set_exec_id(request.exec_id());
  Announce(added);
  co_return wkt::Empty();
}

asio::awaitable<Result<>> TaskService::StartExec(std::shared_ptr<Container> container,
                                                 std::shared_ptr<ContainerProcess> process) {
  // After the last container the VM may have gone as well, and the agent could not answer.
  if (container->status() == Status::kStopped) co_return Fail(Code::kFailedPrecondition, "container not running");
  auto spec = exec_specs_.extract(ExecKey(container->id, process->exec()));
  if (spec.empty()) co_return Fail(Code::kFailedPrecondition, "cannot start an exec twice");
  grpc::ExecProcessRequest request;
  request.set_container_id(container->id);
  request.set_exec_id(process->exec());
  *request.mutable_process() = std::move(spec.mapped());
  process->Begin();
  Vm& vm = sandbox_->vm();
  auto started = AsRuntimeError(co_await vm.agent()->ExecProcess(std::move(request), vm.CreatePatience()));
  if (!started) {
    process->NeverBegan();
    process->End(kKilledStatus);
    co_return started;
  }
  process->MarkRunning();
  process->Follow(vm.agent());
  co_return Result<>();
}

asio::awaitable<Result<task::DeleteResponse>> TaskService::Delete(task::DeleteRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  if (process->status() == ContainerProcess::Status::kCreated) {
    // A process that was never started is ended by its deletion, as with runc.
    if (process->exec().empty()) {
      process->ExpectEnd();
      CO_TRY(co_await sandbox_->vm().agent()->SignalProcess(process->agent_process(), SIGKILL));
      co_await process->ended().Wait();
    } else {
      process->End(0);
    }
  }
  if (process->status() != ContainerProcess::Status::kStopped) {
    co_return Fail(Code::kFailedPrecondition, "cannot delete container {} that is not stopped", request.id());
  }
  co_await Settle(container, process);
  task::DeleteResponse reply;
  reply.set_pid(PidOf(*process));
  SetExit(*process, reply);
  if (process->exec().empty()) {
    co_await sandbox_->RemoveContainer(container);
    if (hooks_) co_await hooks_->Stopped(container->id);
    AnnounceDelete(reply, container->id);
  } else {
    // As containerd's own shim: waits, for a bounded time, for what other processes still write.
    co_await process->stdio().ended().WaitFor(kExecOutputTime);
    process->stdio().Stop();
    container->execs.erase(process->exec());
    exec_specs_.erase(ExecKey(request.id(), request.exec_id()));
  }
  co_return reply;
}

asio::awaitable<Result<LeaveResponse>> TaskService::Leave(LeaveRequest request) {
  const auto& containers = sandbox_->containers();
  const auto goes_on = [&](const auto& entry) {
    return entry.first != request.id() && entry.second->status() != Status::kStopped;
  };
  LeaveResponse reply;
  if (sandbox_->ending() || std::none_of(containers.begin(), containers.end(), goes_on)) {
    const bool lives = std::any_of(containers.begin(), containers.end(),
                                   [](const auto& entry) { return entry.second->status() != Status::kStopped; });
    sandbox_->RequestEnd(/*now=*/lives);
    reply.set_sandbox_ends(true);
    reply.set_disks(sandbox_->state().disks);
    co_return reply;
  }
  const auto found = containers.find(request.id());
  if (found == containers.end()) co_return reply;
  const std::shared_ptr<Container> container = found->second;
  co_await container->created.Wait();
  if (const auto init = container->init) {
    if (init->status() != ContainerProcess::Status::kStopped) {
      init->ExpectEnd();
      (void)co_await sandbox_->vm().agent()->SignalProcess(init->agent_process(), SIGKILL);
      co_await init->ended().Wait();
    }
    // Another call may have been faster.
    if (const auto still = containers.find(request.id()); still != containers.end() && still->second == container) {
      co_await sandbox_->RemoveContainer(container);
    }
    if (container->answers_names) co_await HandOverNames(sandbox_);
  }
  reply.set_sandbox_ends(sandbox_->ending());
  reply.set_disks(sandbox_->state().disks);
  if (!sandbox_->ending() && sandbox_->home() == container) {
    co_return Fail(Code::kInternal, "the sandbox cannot leave the directory of container {}", request.id());
  }
  co_return reply;
}

}  // namespace kata::sandbox
