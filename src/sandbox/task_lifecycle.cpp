// SPDX-License-Identifier: Apache-2.0
// The calls of the Task service that make, start and remove containers and execs.
#include <signal.h>

#include <charconv>
#include <optional>

#include "base/child.h"
#include "base/log.h"
#include "oci/parse.h"
#include "oci/validate.h"
#include "sandbox/task_client.h"
#include "sandbox/task_service.h"

namespace kata::sandbox {
namespace {

// A stand-in says hello as soon as it runs.
constexpr std::chrono::milliseconds kHelloTimeout{10000};
// Of a process that got SIGKILL.
constexpr std::chrono::milliseconds kKillTimeout{10000};

std::optional<pid_t> ParsePid(std::string_view text) {
  pid_t pid = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || end != text.data() + text.size() || pid <= 0) return std::nullopt;
  return pid;
}

// What StandinStdio gave.
struct StdioName {
  pid_t standin = 0;
  pid_t foreground = 0;  // 0: none
};

std::optional<StdioName> ParseStdioName(std::string_view text) {
  constexpr std::string_view kPrefix = "standin:";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  size_t colon = text.find(':');
  auto standin = ParsePid(text.substr(0, colon));
  auto foreground = colon == std::string_view::npos ? std::optional<pid_t>(0) : ParsePid(text.substr(colon + 1));
  if (!standin || !foreground) return std::nullopt;
  return StdioName{.standin = *standin, .foreground = *foreground};
}

std::string ExecKey(const std::string& container, const std::string& exec) { return container + "/" + exec; }

}  // namespace

asio::awaitable<Result<TaskService::Attached>> TaskService::Attach(std::string container, std::string exec,
                                                                   bool terminal, std::string in, std::string out,
                                                                   std::string err) {
  Attached attached;
  StdioFds fds;
  if (!in.empty() || !out.empty() || !err.empty()) {
    auto name = ParseStdioName(in);
    if (!name || out != in || err != in) {
      co_return Fail(Code::kInvalidArgument, "stdin, stdout and stderr must name one stand-in");
    }
    if (terminal && name->foreground > 0) {
      CO_TRY_ASSIGN(attached.foreground, OpenPidfd(name->foreground));
    }
    pid_t pid = name->standin;
    CO_TRY_ASSIGN(attached.standin,
                  co_await sandbox_->standins().Claim(pid, std::move(container), std::move(exec), kHelloTimeout));
    fds = attached.standin->TakeStdio();
  }
  CO_TRY_ASSIGN(attached.stdio, Stdio::Create(sandbox_->executor(), std::move(fds), terminal));
  co_return std::move(attached);
}

asio::awaitable<Result<task::CreateTaskResponse>> TaskService::Create(task::CreateTaskRequest request) {
  CO_TRY(oci::ValidateId(request.id()));
  if (!request.checkpoint().empty()) co_return Fail(Code::kUnimplemented, "Create: checkpoints are not supported");
  if (request.rootfs_size() > 0) co_return Fail(Code::kUnimplemented, "Create: the rootfs must be mounted already");
  if (sandbox_->ending()) co_return Fail(Code::kUnavailable, "the sandbox is being ended");
  auto& containers = sandbox_->containers();
  auto container = std::make_shared<Container>();
  container->id = request.id();
  // The name is taken from now on, so that of two creates at a time one wins.
  if (!containers.emplace(request.id(), container).second) {
    co_return Fail(Code::kAlreadyExists, "container {} already exists", request.id());
  }
  auto created = co_await CreateNamed(container, std::move(request));
  if (!created) {
    containers.erase(container->id);
    // A sandbox that has nothing to run has no reason to be.
    if (containers.empty()) sandbox_->RequestEnd(true);
  }
  co_return created;
}

asio::awaitable<Result<task::CreateTaskResponse>> TaskService::CreateNamed(std::shared_ptr<Container> container,
                                                                           task::CreateTaskRequest request) {
  CO_TRY_ASSIGN(auto bundle, sandbox_->TakeBundle(request.bundle()));
  for (const std::string& warning : bundle.warnings) log::Warn("{}", warning);
  container->bundle = bundle.path;
  ContainerProcess::Setup setup;
  setup.container = container->id;
  setup.terminal = bundle.spec.process().terminal();
  CO_TRY_ASSIGN(auto attached, co_await Attach(container->id, "", setup.terminal, request.stdin(), request.stdout(),
                                               request.stderr()));
  setup.standin = attached.standin;
  setup.stdio = attached.stdio;
  setup.foreground = std::move(attached.foreground);
  CO_TRY(co_await sandbox_->CreateContainer(container, std::move(bundle), std::move(setup)));
  task::CreateTaskResponse reply;
  reply.set_pid(static_cast<uint32_t>(container->init->pid()));
  co_return reply;
}

asio::awaitable<Result<task::StartResponse>> TaskService::Start(task::StartRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  if (request.exec_id().empty()) {
    CO_TRY(co_await StartInit(container));
  } else {
    CO_TRY(co_await StartExec(container, process));
  }
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
  container->starting = true;
  auto began = Timing::Clock::now();
  Machine& machine = sandbox_->machine();
  auto started = co_await machine.agent()->StartContainer(container->id, machine.CreateTimeout());
  container->starting = false;
  CO_TRY(started);
  machine.timing().Record(Phase::kStart, began);
  container->init->MarkRunning();
  co_return sandbox_->Store();
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
  // Labels mean something to the host's kernel only.
  spec.clear_apparmorprofile();
  spec.clear_selinuxlabel();

  ContainerProcess::Setup setup;
  setup.container = container->id;
  setup.exec = request.exec_id();
  setup.terminal = request.terminal();
  CO_TRY_ASSIGN(auto attached, co_await Attach(request.id(), request.exec_id(), setup.terminal, request.stdin(),
                                               request.stdout(), request.stderr()));
  setup.standin = attached.standin;
  setup.stdio = attached.stdio;
  setup.foreground = std::move(attached.foreground);
  if (setup.standin) {
    // Nobody will ask for it again: its status has gone to the stand-in.
    std::weak_ptr<Container> weak = container;
    setup.on_end = [this, weak](ContainerProcess& process) {
      exec_specs_.erase(ExecKey(process.container(), process.exec()));
      if (auto of = weak.lock()) of->execs.erase(process.exec());
    };
  }
  if (container->execs.contains(request.exec_id())) {
    co_return Fail(Code::kAlreadyExists, "exec {} already exists in container {}", request.exec_id(), request.id());
  }
  container->execs[request.exec_id()] = ContainerProcess::Create(sandbox_->executor(), std::move(setup));
  exec_specs_[ExecKey(request.id(), request.exec_id())] = std::move(spec);
  co_return wkt::Empty();
}

asio::awaitable<Result<>> TaskService::StartExec(std::shared_ptr<Container> container,
                                                 std::shared_ptr<ContainerProcess> process) {
  auto spec = exec_specs_.extract(ExecKey(container->id, process->exec()));
  if (spec.empty()) co_return Fail(Code::kFailedPrecondition, "cannot start an exec twice");
  grpc::ExecProcessRequest request;
  request.set_container_id(container->id);
  request.set_exec_id(process->exec());
  *request.mutable_process() = std::move(spec.mapped());
  process->Begin();
  Machine& machine = sandbox_->machine();
  auto started = co_await machine.agent()->ExecProcess(std::move(request), machine.CreateTimeout());
  if (!started) {
    process->End(kKilledStatus);
    co_return started;
  }
  process->MarkRunning();
  process->Follow(machine.agent());
  co_return Result<>();
}

asio::awaitable<Result<task::DeleteResponse>> TaskService::Delete(task::DeleteRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  if (process->status() == ContainerProcess::Status::kCreated) {
    // Never started: it is ended with its deletion, as runc does.
    if (process->exec().empty()) {
      CO_TRY(co_await sandbox_->machine().agent()->SignalProcess(process->agent_process(), SIGKILL));
      co_await process->ended().WaitFor(kKillTimeout);
    } else {
      process->End(kKilledStatus);
    }
  }
  if (process->status() != ContainerProcess::Status::kStopped) {
    co_return Fail(Code::kFailedPrecondition, "cannot delete container {} that is not stopped", request.id());
  }
  task::DeleteResponse reply;
  reply.set_pid(static_cast<uint32_t>(process->pid()));
  reply.set_exit_status(static_cast<uint32_t>(process->exit_status()));
  reply.mutable_exited_at()->set_seconds(process->exited_at_seconds());
  reply.mutable_exited_at()->set_nanos(process->exited_at_nanoseconds());
  if (process->exec().empty()) {
    co_await sandbox_->RemoveContainer(container);
  } else {
    container->execs.erase(process->exec());
    exec_specs_.erase(ExecKey(request.id(), request.exec_id()));
  }
  co_return reply;
}

}  // namespace kata::sandbox
