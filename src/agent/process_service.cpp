// SPDX-License-Identifier: Apache-2.0
// The ttRPC methods for one process: signals, exit status and stdio.
#include <signal.h>

#include "agent/method.h"
#include "agent/services.h"

namespace kata::agent {

namespace {

// Drops an exec'ed process whose status and output have been answered completely, so that execs do not accumulate. The
// container's init is kept until RemoveContainer.
void ForgetWhenDone(Pod& pod, const std::string& id, const std::string& exec_id, const Process& process) {
  if (process.Done() && !exec_id.empty() && exec_id != id) pod.Forget(id, exec_id);
}

Result<Empty> SignalProcess(Pod& pod, const grpc::SignalProcessRequest& request) {
  if (request.signal() >= static_cast<uint32_t>(NSIG)) {
    return Fail(Code::kInvalidArgument, "{} is no signal", request.signal());
  }
  const int signal = static_cast<int>(request.signal());
  if (request.exec_id().empty()) {
    const auto entry = TRY(pod.Find(request.container_id()));
    return Done(entry->container->SignalAll(signal));
  }
  const auto process = TRY(pod.FindProcess(request.container_id(), request.exec_id()));
  return Done(process->Signal(signal));
}

asio::awaitable<Result<grpc::WaitProcessResponse>> WaitProcess(Pod& pod, grpc::WaitProcessRequest request) {
  CO_TRY_ASSIGN(auto process, pod.FindProcess(request.container_id(), request.exec_id()));
  grpc::WaitProcessResponse reply;
  reply.set_status(co_await process->Wait());
  ForgetWhenDone(pod, request.container_id(), request.exec_id(), *process);
  co_return reply;
}

asio::awaitable<Result<grpc::WriteStreamResponse>> WriteStdin(Pod& pod, grpc::WriteStreamRequest request) {
  CO_TRY_ASSIGN(auto process, pod.FindProcess(request.container_id(), request.exec_id()));
  grpc::WriteStreamResponse reply;
  reply.set_len(static_cast<uint32_t>(request.data().size()));
  CO_TRY(co_await process->WriteStdin(std::move(*request.mutable_data())));
  co_return reply;
}

// Returns a serialized ReadStreamResponse whose data may still be in a pipe, uncopied.
asio::awaitable<Result<rpc::Payload>> ReadOutput(Pod& pod, std::string payload, bool is_stderr) {
  grpc::ReadStreamRequest request;
  CO_TRY(Parse(request, payload));
  CO_TRY_ASSIGN(auto process, pod.FindProcess(request.container_id(), request.exec_id()));
  auto read = is_stderr ? process->ReadStderr(request.len(), request.past_exit())
                        : process->ReadStdout(request.len(), request.past_exit());
  CO_TRY_ASSIGN(OutputStream::Piece piece, co_await std::move(read));
  ForgetWhenDone(pod, request.container_id(), request.exec_id(), *process);
  if (piece.held) {
    grpc::ReadStreamResponse reply;
    reply.set_held(true);
    co_return rpc::Payload(reply.SerializeAsString());
  }
  rpc::Payload data = std::move(piece.data);
  if (data.size() > 0) data.bytes.insert(0, rpc::BytesField(grpc::ReadStreamResponse::kDataFieldNumber, data.size()));
  co_return data;
}

void AddReading(rpc::MethodTable& table, Pod& pod, const char* name, bool is_stderr) {
  table.Add(contract::kAgentService, name,
            [&pod, is_stderr](std::string payload) { return ReadOutput(pod, std::move(payload), is_stderr); });
}

asio::awaitable<Result<Empty>> AwaitStdinClosed(Pod& pod, grpc::AwaitStdinClosedRequest request) {
  CO_TRY_ASSIGN(auto process, pod.FindProcess(request.container_id(), request.exec_id()));
  CO_TRY(co_await process->AwaitStdinClosed());
  co_return Empty();
}

Result<Empty> CloseStdin(Pod& pod, const grpc::CloseStdinRequest& request) {
  const auto process = TRY(pod.FindProcess(request.container_id(), request.exec_id()));
  process->CloseStdin();
  return Empty();
}

Result<Empty> TtyWinResize(Pod& pod, const grpc::TtyWinResizeRequest& request) {
  const auto process = TRY(pod.FindProcess(request.container_id(), request.exec_id()));
  return Done(process->Resize(request.row(), request.column()));
}

}  // namespace

void AddProcessMethods(rpc::MethodTable& table, Pod& pod) {
  Add(table, pod, "SignalProcess", SignalProcess);
  Add(table, pod, "WaitProcess", WaitProcess);
  Add(table, pod, "WriteStdin", WriteStdin);
  AddReading(table, pod, "ReadStdout", /*is_stderr=*/false);
  AddReading(table, pod, "ReadStderr", /*is_stderr=*/true);
  Add(table, pod, "AwaitStdinClosed", AwaitStdinClosed);
  Add(table, pod, "CloseStdin", CloseStdin);
  Add(table, pod, "TtyWinResize", TtyWinResize);
}

}  // namespace kata::agent
