// SPDX-License-Identifier: Apache-2.0
#include "sandbox/task/task_service.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "oci/parse.h"
#include "oci/validate.h"
#include "protocol/guest_contract.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/task/metrics.h"
#include "sandbox/task/process_reply.h"
#include "sandbox/task/runtime_error.h"
#include "sandbox/task/task_client.h"

namespace kata::sandbox {
namespace {

constexpr uint32_t kLastSignal = 64;  // the kernel's SIGRTMAX; C libraries number it differently

// Added to a guest's pid where the caller expects pids of the host. No process of a host can have such a pid (the
// kernel's limit is 4194304), so that nobody finds or kills a stranger by it.
constexpr uint32_t kFirstGuestPid = 10000000;

// In milliseconds: a caller that has gone is not waited for longer.
constexpr uint64_t kLongestWait = 60000;

struct ProcessRow {
  uint32_t pid = 0;  // in the guest
  std::string json;
};

Result<std::vector<ProcessRow>> ProcessRows(const std::string& list) {
  const auto rows = ParseJson(list, contract::kMaxListBytes);
  if (!rows || !rows->is_array()) return Fail(Code::kInternal, "the agent's list of processes is no JSON array");
  std::vector<ProcessRow> found;
  for (size_t i = 0; i < std::min(rows->size(), contract::kMaxListedProcesses); ++i) {
    const auto& row = (*rows)[i];
    const auto pid = row.is_object() ? row.find("pid") : row.end();
    if (!row.is_object() || pid == row.end() || !pid->is_number_unsigned() || *pid > UINT32_MAX) continue;
    found.push_back({.pid = static_cast<uint32_t>(pid->get<uint64_t>()),
                     .json = row.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace)});
  }
  return found;
}

// Leaves out the container's own process: it is the oldest, so that its pid is the lowest, and it is listed with its
// pid on the host.
std::vector<uint32_t> PidsBesideInit(const std::vector<ProcessRow>& rows) {
  std::vector<uint32_t> pids;
  pids.reserve(rows.size());
  for (const ProcessRow& row : rows) pids.push_back(kFirstGuestPid + row.pid);
  std::sort(pids.begin(), pids.end());
  if (!pids.empty()) pids.erase(pids.begin());
  return pids;
}

containerd::v1::types::Status TaskStatus(Status status) {
  switch (status) {
    case Status::kCreated:
      return containerd::v1::types::CREATED;
    case Status::kRunning:
      return containerd::v1::types::RUNNING;
    case Status::kPaused:
      return containerd::v1::types::PAUSED;
    case Status::kStopped:
      return containerd::v1::types::STOPPED;
    case Status::kCreating:
      break;
  }
  return containerd::v1::types::UNKNOWN;
}

Status StatusOf(const Container& container, const ContainerProcess& process) {
  if (process.exec().empty()) return container.status();
  switch (process.status()) {
    case ContainerProcess::Status::kCreated:
      return Status::kCreated;
    case ContainerProcess::Status::kRunning:
      return Status::kRunning;
    case ContainerProcess::Status::kStopped:
      break;
  }
  return Status::kStopped;
}

bool IsAboutState(Code code) {
  return code == Code::kNotFound || code == Code::kAlreadyExists || code == Code::kFailedPrecondition;
}

}  // namespace

TaskService::TaskService(std::shared_ptr<Sandbox> sandbox, TaskInterface interface)
    : sandbox_(std::move(sandbox)),
      interface_(std::move(interface)),
      shutdown_(sandbox_->executor()),
      idle_(sandbox_->executor()) {
  if (interface_.runs_hooks) hooks_.emplace(sandbox_);
  sandbox_->OnInitEnd([this](ContainerProcess& process) {
    AnnounceExit(process);
    if (auto container = Find(process.container())) TellNews(**container);
  });
  Add("State", &TaskService::State);
  Add("Create", &TaskService::Create);
  Add("Start", &TaskService::Start);
  Add("Delete", &TaskService::Delete);
  Add("Pids", &TaskService::Pids);
  Add("Pause", &TaskService::Pause);
  Add("Resume", &TaskService::Resume);
  Add("Checkpoint", &TaskService::Checkpoint);
  Add("Kill", &TaskService::Kill);
  Add("Exec", &TaskService::Exec);
  Add("ResizePty", &TaskService::ResizePty);
  Add("CloseIO", &TaskService::CloseIO);
  Add("Update", &TaskService::Update);
  Add("Wait", &TaskService::Wait);
  Add("Stats", &TaskService::Stats);
  if (interface_.serves_command_line) Add("AwaitOom", &TaskService::AwaitOom);
  Add("Connect", &TaskService::Connect);
  Add("Shutdown", &TaskService::Shutdown);
  Add("Leave", &TaskService::Leave);
}

template <typename Request, typename Reply>
void TaskService::Add(const char* method, asio::awaitable<Result<Reply>> (TaskService::*function)(Request)) {
  for (const char* service : {kTaskService, kTaskServiceV3}) {
    table_.Method<Request, Reply>(service, method,
                                  [this, function](Request request) { return Answer(function, std::move(request)); });
  }
}

template <typename Request, typename Reply>
asio::awaitable<Result<Reply>> TaskService::Answer(asio::awaitable<Result<Reply>> (TaskService::*function)(Request),
                                                   Request request) {
  ++running_calls_;
  auto reply = co_await (this->*function)(std::move(request));
  // If the VM has failed, Explain returns the real cause. Errors about the state of a container stay as they are.
  if (!reply && !IsAboutState(reply.error().code()))
    reply = tl::unexpected<Error>(co_await sandbox_->vm().Explain(std::move(reply).error()));
  if (--running_calls_ == 0) std::exchange(idle_, Event(sandbox_->executor())).Happen();
  co_return reply;
}

asio::awaitable<void> TaskService::Idle(std::chrono::milliseconds timeout) {
  Event idle = idle_;
  if (running_calls_ > 0) co_await idle.WaitFor(timeout);
}

asio::awaitable<void> TaskService::Settle(std::shared_ptr<Container> container,
                                          std::shared_ptr<ContainerProcess> process) {
  co_await process->ended().Wait();
  // A container with a stand-in is known by the stand-in's pid, not the VMM's. No need to wait for the VM.
  if (process->exec().empty() && !process->has_standin()) co_await container->settled.Wait();
}

Result<std::shared_ptr<Container>> TaskService::Find(const std::string& id) {
  auto found = sandbox_->containers().find(id);
  if (found == sandbox_->containers().end()) return Fail(Code::kNotFound, "container {} does not exist", id);
  return found->second;
}

Result<std::shared_ptr<Container>> TaskService::FindMade(const std::string& id) {
  auto container = TRY(Find(id));
  if (!container->init) return Fail(Code::kFailedPrecondition, "container {} is still being created", id);
  return container;
}

Result<std::shared_ptr<ContainerProcess>> TaskService::Find(const std::string& id, const std::string& exec) {
  auto container = TRY(FindMade(id));
  if (exec.empty()) return container->init;
  auto found = container->execs.find(exec);
  if (found == container->execs.end()) return Fail(Code::kNotFound, "exec {} does not exist in container {}", exec, id);
  return found->second;
}

asio::awaitable<Result<task::StateResponse>> TaskService::State(task::StateRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  task::StateResponse reply;
  reply.set_id(request.id());
  reply.set_exec_id(request.exec_id());
  reply.set_bundle(container->bundle);
  reply.set_pid(PidOf(*process));
  reply.set_terminal(process->terminal());
  reply.set_stdin(process->names().in);
  reply.set_stdout(process->names().out);
  reply.set_stderr(process->names().err);
  reply.set_status(TaskStatus(StatusOf(*container, *process)));
  if (process->status() == ContainerProcess::Status::kStopped) SetExit(*process, reply);
  co_return reply;
}

asio::awaitable<Result<task::PidsResponse>> TaskService::Pids(task::PidsRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  task::PidsResponse reply;
  const bool stopped = container->status() == Status::kStopped;
  // A containerd 1.7 or 2 that is started again makes this call for each task. It takes one without processes for left
  // over, deletes it, and never learns how it has ended.
  if (!stopped || !interface_.serves_command_line) reply.add_processes()->set_pid(PidOf(*container->init));
  if (stopped) co_return reply;
  for (const auto& [id, exec] : container->execs) {
    if (exec->has_standin()) reply.add_processes()->set_pid(PidOf(*exec));
  }
  auto listed = co_await sandbox_->vm().agent()->ListProcesses(container->id);
  const auto rows = listed ? ProcessRows(*listed) : tl::unexpected<Error>(listed.error());
  if (interface_.serves_command_line) {
    CO_TRY(rows);
    for (const ProcessRow& row : *rows) {
      containerd::v1::types::ProcessInfo& process = *reply.add_processes();
      process.set_pid(row.pid);
      process.mutable_info()->set_type_url(kGuestProcessType);
      process.mutable_info()->set_value(row.json);
    }
    co_return reply;
  }
  // A containerd that is being restarted makes this call for each task. It must not fail because a guest does not
  // answer.
  if (!rows) log::Warn("container {}: {}", container->id, rows.error().message());
  for (const uint32_t pid : rows ? PidsBesideInit(*rows) : std::vector<uint32_t>()) {
    reply.add_processes()->set_pid(pid);
  }
  co_return reply;
}

asio::awaitable<Result<wkt::Empty>> TaskService::Pause(task::PauseRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  Status status = container->status();
  if (status != Status::kRunning && status != Status::kCreated) {
    co_return Fail(Code::kFailedPrecondition, "container not running");
  }
  CO_TRY(AsRuntimeError(co_await sandbox_->vm().agent()->PauseContainer(container->id)));
  container->paused = true;
  CO_TRY(sandbox_->Store(*container));
  containerd::events::TaskPaused paused;
  paused.set_container_id(container->id);
  Announce(paused);
  co_return wkt::Empty();
}

asio::awaitable<Result<wkt::Empty>> TaskService::Resume(task::ResumeRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  if (container->status() != Status::kPaused) co_return Fail(Code::kFailedPrecondition, "container not paused");
  CO_TRY(AsRuntimeError(co_await sandbox_->vm().agent()->ResumeContainer(container->id)));
  container->paused = false;
  CO_TRY(sandbox_->Store(*container));
  containerd::events::TaskResumed resumed;
  resumed.set_container_id(container->id);
  Announce(resumed);
  co_return wkt::Empty();
}

asio::awaitable<Result<wkt::Empty>> TaskService::Checkpoint(task::CheckpointTaskRequest) {
  co_return Fail(Code::kUnimplemented, "Checkpoint: a container in a virtual machine cannot be checkpointed");
}

asio::awaitable<Result<wkt::Empty>> TaskService::Kill(task::KillRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  // The code that containerd expects here: a caller that kills a process which has just ended has reached its goal.
  if (process->status() == ContainerProcess::Status::kStopped) co_return Fail(Code::kNotFound, "container not running");
  if (!process->exec().empty() && !process->begun()) {
    co_return Fail(Code::kFailedPrecondition, "process not created");
  }
  if (request.signal() > kLastSignal) co_return Fail(Code::kInvalidArgument, "{} is no signal", request.signal());
  // Signal 0 only asks whether the process runs.
  if (request.signal() == 0) co_return wkt::Empty();
  AgentProcess target = process->agent_process();
  if (request.all()) target.exec.clear();
  if (request.signal() == SIGKILL) process->ExpectEnd();
  auto sent = co_await sandbox_->vm().agent()->SignalProcess(target, request.signal());
  if (sent) co_return wkt::Empty();
  // A VM that has failed has ended all its processes. The failure may become known only a moment after the call that
  // failed because of it.
  auto error = co_await sandbox_->vm().Explain(std::move(sent).error());
  if (!sandbox_->vm().failed().happened()) co_return tl::unexpected<Error>(std::move(error));
  co_await process->ended().Wait();
  if (request.signal() != SIGKILL) co_return Fail(Code::kNotFound, "container not running");
  co_return wkt::Empty();
}

asio::awaitable<Result<wkt::Empty>> TaskService::ResizePty(task::ResizePtyRequest request) {
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  const bool stopped = process->status() == ContainerProcess::Status::kStopped;
  if (stopped && (process->terminal() || !process->exec().empty())) {
    co_return Fail(Code::kFailedPrecondition, "cannot resize a stopped container");
  }
  // As runc's shim: clients pass on the size of their own terminal without asking whether the process has one.
  if (!process->terminal()) co_return wkt::Empty();
  process->Resize(request.height(), request.width());
  co_return wkt::Empty();
}

asio::awaitable<Result<wkt::Empty>> TaskService::CloseIO(task::CloseIORequest request) {
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  if (request.stdin()) process->stdio().CloseStdin();
  co_return wkt::Empty();
}

asio::awaitable<Result<wkt::Empty>> TaskService::Update(task::UpdateTaskRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  if (container->status() == Status::kStopped) co_return Fail(Code::kFailedPrecondition, "container not running");
  CO_TRY_ASSIGN(auto resources, oci::ParseResources(request.resources().value()));
  CO_TRY(oci::ValidateResources(resources));
  CO_TRY(AsRuntimeError(co_await sandbox_->UpdateContainer(container->id, std::move(resources))));
  co_return wkt::Empty();
}

asio::awaitable<Result<task::WaitResponse>> TaskService::Wait(task::WaitRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  CO_TRY_ASSIGN(auto process, Find(request.id(), request.exec_id()));
  co_await Settle(container, process);
  task::WaitResponse reply;
  SetExit(*process, reply);
  co_return reply;
}

asio::awaitable<Result<task::StatsResponse>> TaskService::Stats(task::StatsRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  if (container->status() == Status::kStopped) co_return Fail(Code::kFailedPrecondition, "container not running");
  CO_TRY_ASSIGN(auto stats, AsRuntimeError(co_await sandbox_->vm().agent()->StatsContainer(container->id)));
  task::StatsResponse reply;
  if (interface_.serves_command_line) {
    kata::task::Figures figures;
    *figures.mutable_stats() = std::move(stats);
    figures.set_oom_kills(container->oom_kills);
    reply.mutable_stats()->set_type_url(kFiguresType);
    reply.mutable_stats()->set_value(figures.SerializeAsString());
    co_return reply;
  }
  CO_TRY_ASSIGN(const bool unified, sandbox_->mounts().OnHost([]() -> Result<bool> { return HostIsUnified(); }));
  *reply.mutable_stats() = PackMetrics(stats, unified);
  co_return reply;
}

asio::awaitable<Result<kata::task::AwaitOomResponse>> TaskService::AwaitOom(kata::task::AwaitOomRequest request) {
  CO_TRY_ASSIGN(auto container, FindMade(request.id()));
  const Event news = container->news;
  const auto ended = [&] { return container->status() == Status::kStopped; };
  if (!ended() && container->oom_kills == request.seen()) {
    co_await news.WaitFor(std::chrono::milliseconds(std::min(kLongestWait, request.timeout_ms())));
  }
  kata::task::AwaitOomResponse reply;
  reply.set_oom_kills(container->oom_kills);
  reply.set_ended(ended());
  co_return reply;
}

asio::awaitable<Result<task::ConnectResponse>> TaskService::Connect(task::ConnectRequest request) {
  task::ConnectResponse reply;
  reply.set_shim_pid(static_cast<uint32_t>(getpid()));
  reply.set_version(KATA_VERSION);
  if (sandbox_->standing() && request.id() == sandbox_->state().id) {
    // The pod has no container of its own. A containerd that has been restarted calls this to see whether the sandbox
    // is alive.
    reply.set_task_pid(static_cast<uint32_t>(getpid()));
    co_return reply;
  }
  CO_TRY_ASSIGN(auto process, Find(request.id(), ""));
  reply.set_task_pid(PidOf(*process));
  co_return reply;
}

asio::awaitable<Result<wkt::Empty>> TaskService::Shutdown(task::ShutdownRequest request) {
  bool lives = false;
  for (const auto& [id, container] : sandbox_->containers()) lives |= container->status() != Status::kStopped;
  // As containerd's own shim: a call that comes too early has no effect and is no error.
  if (sandbox_->standing() && !request.now()) co_return wkt::Empty();
  if (!lives || request.now()) sandbox_->RequestEnd(request.now() && lives);
  if (sandbox_->containers().empty() || request.now()) shutdown_.Happen();
  co_return wkt::Empty();
}

}  // namespace kata::sandbox
