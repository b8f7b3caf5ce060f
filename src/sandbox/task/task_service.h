// SPDX-License-Identifier: Apache-2.0
// The Task service: which call is allowed in which state of a container or exec, with runc's messages for refusals.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "protocol/events_of_task.pb.h"
#include "protocol/leave.pb.h"
#include "protocol/shim.pb.h"
#include "rpc/server.h"
#include "sandbox/sandbox.h"
#include "sandbox/stdio/stdio_source.h"
#include "sandbox/task/host_hooks.h"
#include "sandbox/task/task_events.h"

namespace kata::sandbox {

namespace task = containerd::task::v2;

// What differs between the command line and containerd.
struct TaskInterface {
  std::unique_ptr<StdioSource> stdio;
  TaskEventSink events;  // empty: no events
  // true: Pids lists the guest's own pids, each with a row of kGuestProcessType, and Stats answers kFiguresType, which
  // containerd's clients cannot read; AwaitOom is served. false: Pids adds a number to the guest's pids so that none is
  // the pid of a process on the host.
  bool serves_command_line = false;
  // Whether this service runs the bundles' hooks of the host. kata-runtime runs them itself.
  bool runs_hooks = false;
};

// Serves containerd.task.v2 and v3. Errors of the calls: kNotFound, kAlreadyExists, kFailedPrecondition (the state does
// not allow it), kUnavailable (the sandbox has failed or is ending; the message says why), kUnimplemented,
// kInvalidArgument, and the agent's own. Not thread-safe. It must exist until the event loop has stopped.
class TaskService {
 public:
  TaskService(std::shared_ptr<Sandbox> sandbox, TaskInterface interface);

  const rpc::MethodTable& table() const { return table_; }
  // Returns when no call is in progress, at the latest after `timeout`.
  asio::awaitable<void> Idle(std::chrono::milliseconds timeout);
  // Happens when Shutdown was called with `now`, or, unless the sandbox is standing, while no container was left.
  const Event& shutdown() const { return shutdown_; }
  void RequestShutdown() { shutdown_.Happen(); }

 private:
  template <typename Request, typename Reply>
  void Add(const char* method, asio::awaitable<Result<Reply>> (TaskService::*function)(Request));

  template <typename Request, typename Reply>
  asio::awaitable<Result<Reply>> Answer(asio::awaitable<Result<Reply>> (TaskService::*function)(Request),
                                        Request request);

  asio::awaitable<Result<task::StateResponse>> State(task::StateRequest request);
  asio::awaitable<Result<task::CreateTaskResponse>> Create(task::CreateTaskRequest request);
  asio::awaitable<Result<task::StartResponse>> Start(task::StartRequest request);
  asio::awaitable<Result<task::DeleteResponse>> Delete(task::DeleteRequest request);
  asio::awaitable<Result<task::PidsResponse>> Pids(task::PidsRequest request);
  asio::awaitable<Result<wkt::Empty>> Pause(task::PauseRequest request);
  asio::awaitable<Result<wkt::Empty>> Resume(task::ResumeRequest request);
  asio::awaitable<Result<wkt::Empty>> Checkpoint(task::CheckpointTaskRequest request);
  asio::awaitable<Result<wkt::Empty>> Kill(task::KillRequest request);
  asio::awaitable<Result<wkt::Empty>> Exec(task::ExecProcessRequest request);
  asio::awaitable<Result<wkt::Empty>> ResizePty(task::ResizePtyRequest request);
  asio::awaitable<Result<wkt::Empty>> CloseIO(task::CloseIORequest request);
  asio::awaitable<Result<wkt::Empty>> Update(task::UpdateTaskRequest request);
  asio::awaitable<Result<task::WaitResponse>> Wait(task::WaitRequest request);
  asio::awaitable<Result<task::StatsResponse>> Stats(task::StatsRequest request);
  asio::awaitable<Result<kata::task::AwaitOomResponse>> AwaitOom(kata::task::AwaitOomRequest request);
  asio::awaitable<Result<task::ConnectResponse>> Connect(task::ConnectRequest request);
  asio::awaitable<Result<wkt::Empty>> Shutdown(task::ShutdownRequest request);

  // Ends a container, if it has not ended, and removes it; with the last one that goes on, the sandbox ends.
  asio::awaitable<Result<LeaveResponse>> Leave(LeaveRequest request);

  // Opens the stdio that a request names and stores it in setup.
  asio::awaitable<Result<>> Attach(ContainerProcess::Setup& setup, std::string in, std::string out, std::string err);
  asio::awaitable<Result<task::CreateTaskResponse>> CreateNamed(std::shared_ptr<Container> container,
                                                                task::CreateTaskRequest request);
  asio::awaitable<Result<>> StartInit(std::shared_ptr<Container> container);
  asio::awaitable<Result<>> StartExec(std::shared_ptr<Container> container, std::shared_ptr<ContainerProcess> process);

  // Returns when the process has ended. For a container's own process without a stand-in: when Container::settled has
  // happened, too.
  static asio::awaitable<void> Settle(std::shared_ptr<Container> container, std::shared_ptr<ContainerProcess> process);

  // kNotFound, with runc's message.
  Result<std::shared_ptr<Container>> Find(const std::string& id);
  // kFailedPrecondition while the container is being created.
  Result<std::shared_ptr<Container>> FindMade(const std::string& id);
  // The container's own process when exec is empty.
  Result<std::shared_ptr<ContainerProcess>> Find(const std::string& id, const std::string& exec);

  template <typename Message>
  void Announce(const Message& message) {
    if (interface_.events) interface_.events(MakeEvent(message));
  }
  void AnnounceCreate(const task::CreateTaskRequest& request, const ContainerProcess& process);
  void AnnounceDelete(const task::DeleteResponse& reply, const std::string& container);
  void AnnounceExit(const ContainerProcess& process);
  // Holds the process's exit event back until AnnounceStart: a short process may end before its start has been
  // answered.
  void HoldExit(const ContainerProcess& process);
  void AnnounceStart(const ContainerProcess& process, bool started);
  // Wakes those who wait for news of the container.
  static void TellNews(Container& container);
  static asio::awaitable<void> WatchOom(std::shared_ptr<Sandbox> sandbox, TaskEventSink events);

  std::shared_ptr<Sandbox> sandbox_;
  TaskInterface interface_;
  std::optional<HostHooks> hooks_;
  std::map<const ContainerProcess*, std::optional<TaskEvent>> held_exits_;
  std::map<std::string, grpc::Process> exec_specs_;  // by "container/exec", from Exec to Start
  rpc::MethodTable table_;
  bool watches_oom_ = false;
  size_t running_calls_ = 0;
  Event shutdown_;
  Event idle_;  // happens when no call is in progress; replaced each time
};

}  // namespace kata::sandbox
