// SPDX-License-Identifier: Apache-2.0
// The Task service: the state machine of containers and execs, and runc's words for what it refuses.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "protocol/shim.pb.h"
#include "rpc/server.h"
#include "sandbox/sandbox.h"
#include "sandbox/stdio/stdio_source.h"
#include "sandbox/task/host_hooks.h"
#include "sandbox/task/task_events.h"

namespace kata::sandbox {

namespace task = containerd::task::v2;

// What is different for the command line and for containerd.
struct TaskInterface {
  std::unique_ptr<StdioSource> stdio;
  TaskEventSink events;  // empty: nobody wants to know
  // Whether Pids gives the guest's own pids, each with a row about it (Info of our own, which containerd's clients
  // cannot read). Else they are told in a form that is safe to use on a host.
  bool lists_guest = false;
  // Whether the bundles' hooks are run here, on the host. kata-runtime runs them itself.
  bool runs_hooks = false;
};

// Errors: kNotFound, kAlreadyExists, kFailedPrecondition (the state does not allow it), kUnavailable (the sandbox has
// failed or ends; the message says why), kUnimplemented, and the agent's own.
class TaskService {
 public:
  TaskService(std::shared_ptr<Sandbox> sandbox, TaskInterface interface);

  const rpc::MethodTable& table() const { return table_; }
  // Returns when no call is being answered, at the latest after timeout.
  asio::awaitable<void> Idle(std::chrono::milliseconds timeout);
  // Happens when Shutdown was called and no container is left, or with `now`.
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
  asio::awaitable<Result<task::ConnectResponse>> Connect(task::ConnectRequest request);
  asio::awaitable<Result<wkt::Empty>> Shutdown(task::ShutdownRequest request);

  // Finds the stdio that a process is created with.
  asio::awaitable<Result<>> Attach(ContainerProcess::Setup& setup, std::string in, std::string out, std::string err);
  asio::awaitable<Result<task::CreateTaskResponse>> CreateNamed(std::shared_ptr<Container> container,
                                                                task::CreateTaskRequest request);
  asio::awaitable<Result<>> StartInit(std::shared_ptr<Container> container);
  asio::awaitable<Result<>> StartExec(std::shared_ptr<Container> container, std::shared_ptr<ContainerProcess> process);

  // Returns when the process has ended, and with a container's own what ends with it (Container::settled).
  static asio::awaitable<void> Settle(std::shared_ptr<Container> container, std::shared_ptr<ContainerProcess> process);

  // kNotFound, in runc's words.
  Result<std::shared_ptr<Container>> Find(const std::string& id);
  // kFailedPrecondition while it is being created.
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
  // Keeps the process's exit back until AnnounceStart: a short process may end before its start has been answered.
  void HoldExit(const ContainerProcess& process);
  void AnnounceStart(const ContainerProcess& process, bool started);
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
  Event idle_;  // the next time that no call runs; replaced each time
};

}  // namespace kata::sandbox
