// SPDX-License-Identifier: Apache-2.0
// The Task service: the state machine of containers and execs, and runc's words for what it refuses.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "protocol/shim.pb.h"
#include "rpc/server.h"
#include "sandbox/sandbox.h"

namespace kata::sandbox {

namespace task = containerd::task::v2;

// Errors: kNotFound, kAlreadyExists, kFailedPrecondition (the state does not allow it), kUnavailable (the sandbox has
// failed or ends; the message says why), kUnimplemented, and the agent's own.
class TaskService {
 public:
  explicit TaskService(std::shared_ptr<Sandbox> sandbox);

  const rpc::MethodTable& table() const { return table_; }
  // Returns when no call is being answered, at the latest after timeout.
  asio::awaitable<void> Idle(std::chrono::milliseconds timeout);

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

  // What stdin, stdout and stderr of Create and Exec come to.
  struct Attached {
    std::shared_ptr<Standin> standin;
    std::shared_ptr<Stdio> stdio;
    UniqueFd foreground;  // see ContainerProcess::Setup
  };
  asio::awaitable<Result<Attached>> Attach(std::string container, std::string exec, bool terminal, std::string in,
                                           std::string out, std::string err);
  asio::awaitable<Result<task::CreateTaskResponse>> CreateNamed(std::shared_ptr<Container> container,
                                                                task::CreateTaskRequest request);
  asio::awaitable<Result<>> StartInit(std::shared_ptr<Container> container);
  asio::awaitable<Result<>> StartExec(std::shared_ptr<Container> container, std::shared_ptr<ContainerProcess> process);

  // kNotFound, in runc's words.
  Result<std::shared_ptr<Container>> Find(const std::string& id);
  // kFailedPrecondition while it is being created.
  Result<std::shared_ptr<Container>> FindMade(const std::string& id);
  // The container's own process when exec is empty.
  Result<std::shared_ptr<ContainerProcess>> Find(const std::string& id, const std::string& exec);

  std::shared_ptr<Sandbox> sandbox_;
  std::map<std::string, grpc::Process> exec_specs_;  // by "container/exec", from Exec to Start
  rpc::MethodTable table_;
  size_t running_calls_ = 0;
  Event idle_;  // the next time that no call runs; replaced each time
};

}  // namespace kata::sandbox
