// SPDX-License-Identifier: Apache-2.0
#include "sandbox/agent_client.h"

#include <algorithm>
#include <ctime>

#include "base/text.h"
#include "protocol/guest_contract.h"

namespace kata::sandbox {
namespace {

using contract::kAgentService;
using contract::kHealthService;

// The largest reply, without the data that was asked for: an empty message, a number, or an error with its text.
constexpr size_t kSmallReply = 64U << 10U;
constexpr size_t kStreamReply = kStreamChunk + kSmallReply;
// The largest reply with a list (of processes, devices or routes), and the largest of all.
constexpr size_t kListReply = contract::kMaxListBytes + kSmallReply;

template <typename Request>
Request For(AgentProcess process) {
  Request request;
  request.set_container_id(std::move(process.container));
  request.set_exec_id(std::move(process.exec));
  return request;
}

}  // namespace

template <typename Reply, typename Request>
asio::awaitable<Result<Reply>> AgentClient::Call(const char* service, std::string method, Request request,
                                                 Patience patience, size_t max_reply) {
  auto self = shared_from_this();
  auto reply = co_await client_->Call<Reply>(service, method, request, std::move(patience), max_reply);
  // Only the client's own time-out has ETIMEDOUT. kDeadlineExceeded alone is the agent's answer that something in the
  // guest took too long.
  if (!reply && reply.error().code() == Code::kDeadlineExceeded && reply.error().sys() == ETIMEDOUT) {
    // The message begins with the method's name.
    const std::string text = reply.error().message();
    const size_t within = std::min(text.find(" within "), text.size());
    on_fault_(
        fmt::format("the virtual machine does not answer: its agent did not answer {}{}", method, text.substr(within)));
  }
  // The text of an error comes from the guest.
  if (!reply) reply = tl::unexpected<Error>(Error(reply.error().code(), ForeignText(reply.error().message())));
  co_return reply;
}

template <typename Request>
asio::awaitable<Result<>> AgentClient::Do(std::string method, Request request, Patience patience) {
  CO_TRY(co_await Call<wkt::Empty>(kAgentService, std::move(method), std::move(request), std::move(patience),
                                   kSmallReply));
  co_return Result<>();
}

asio::awaitable<Result<>> AgentClient::Check(Patience patience) {
  grpc::CheckRequest request;
  CO_TRY_ASSIGN(auto reply, co_await Call<grpc::HealthCheckResponse>(kHealthService, "Check", std::move(request),
                                                                     std::move(patience), kSmallReply));
  if (reply.status() != grpc::HealthCheckResponse::SERVING) {
    co_return Fail(Code::kUnavailable, "the agent says that it does not serve");
  }
  co_return Result<>();
}

asio::awaitable<Result<>> AgentClient::CreateSandbox(grpc::CreateSandboxRequest request, Patience patience) {
  return Do("CreateSandbox", std::move(request), std::move(patience));
}

asio::awaitable<Result<>> AgentClient::CreateContainer(grpc::CreateContainerRequest request, Patience patience) {
  return Do("CreateContainer", std::move(request), std::move(patience));
}

asio::awaitable<Result<>> AgentClient::StartContainer(std::string container, Patience patience) {
  grpc::StartContainerRequest request;
  request.set_container_id(std::move(container));
  return Do("StartContainer", std::move(request), std::move(patience));
}

asio::awaitable<Result<>> AgentClient::ExecProcess(grpc::ExecProcessRequest request, Patience patience) {
  return Do("ExecProcess", std::move(request), std::move(patience));
}

asio::awaitable<Result<>> AgentClient::DestroySandbox(Patience patience) {
  auto self = shared_from_this();
  grpc::DestroySandboxRequest request;
  auto done =
      co_await client_->Call<wkt::Empty>(kAgentService, "DestroySandbox", request, std::move(patience), kSmallReply);
  if (!done) co_return Fail(done.error().code(), "{}", ForeignText(done.error().message()));
  co_return Result<>();
}

asio::awaitable<Result<grpc::StatsContainerResponse>> AgentClient::StatsContainer(std::string container) {
  grpc::StatsContainerRequest request;
  request.set_container_id(std::move(container));
  co_return co_await Call<grpc::StatsContainerResponse>(kAgentService, "StatsContainer", std::move(request),
                                                        patience_(), kListReply);
}

asio::awaitable<Result<std::string>> AgentClient::GetOomEvent() {
  grpc::GetOOMEventRequest request;
  CO_TRY_ASSIGN(auto event,
                co_await Call<grpc::OOMEvent>(kAgentService, "GetOOMEvent", request, rpc::kNoTimeout, kSmallReply));
  co_return event.container_id();
}

asio::awaitable<Result<>> AgentClient::SetGuestDateTime() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  grpc::SetGuestDateTimeRequest request;
  request.set_sec(now.tv_sec);
  request.set_usec(now.tv_nsec / 1000);
  return Do("SetGuestDateTime", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::RemoveContainer(std::string container, Patience patience) {
  grpc::RemoveContainerRequest request;
  request.set_container_id(std::move(container));
  return Do("RemoveContainer", std::move(request), std::move(patience));
}

asio::awaitable<Result<>> AgentClient::SignalProcess(AgentProcess process, uint32_t signal) {
  auto request = For<grpc::SignalProcessRequest>(std::move(process));
  request.set_signal(signal);
  return Do("SignalProcess", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::PauseContainer(std::string container) {
  grpc::PauseContainerRequest request;
  request.set_container_id(std::move(container));
  return Do("PauseContainer", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::ResumeContainer(std::string container) {
  grpc::ResumeContainerRequest request;
  request.set_container_id(std::move(container));
  return Do("ResumeContainer", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::OnlineCpuMem(uint32_t plugged_cpus) {
  grpc::OnlineCPUMemRequest request;
  request.set_wait(true);
  request.set_nb_cpus(plugged_cpus);
  return Do("OnlineCPUMem", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::UpdateEphemeralMounts(grpc::UpdateEphemeralMountsRequest request) {
  return Do("UpdateEphemeralMounts", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::UpdateContainer(std::string container, grpc::LinuxResources resources) {
  grpc::UpdateContainerRequest request;
  request.set_container_id(std::move(container));
  *request.mutable_resources() = std::move(resources);
  return Do("UpdateContainer", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::TtyWinResize(AgentProcess process, uint32_t rows, uint32_t columns) {
  auto request = For<grpc::TtyWinResizeRequest>(std::move(process));
  request.set_row(rows);
  request.set_column(columns);
  return Do("TtyWinResize", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::CloseStdin(AgentProcess process) {
  return Do("CloseStdin", For<grpc::CloseStdinRequest>(std::move(process)), patience_());
}

asio::awaitable<Result<>> AgentClient::ForwardPort(AgentProcess process, uint16_t port) {
  auto request = For<grpc::ForwardPortRequest>(std::move(process));
  request.set_port(port);
  return Do("ForwardPort", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::ForwardNames(AgentProcess process, std::string address, uint16_t port) {
  auto request = For<grpc::ForwardNamesRequest>(std::move(process));
  request.set_address(std::move(address));
  request.set_port(port);
  return Do("ForwardNames", std::move(request), patience_());
}

asio::awaitable<Result<>> AgentClient::UpdateInterface(types::Interface interface) {
  auto self = shared_from_this();
  grpc::UpdateInterfaceRequest request;
  *request.mutable_interface() = std::move(interface);
  CO_TRY(
      co_await Call<types::Interface>(kAgentService, "UpdateInterface", std::move(request), patience_(), kSmallReply));
  co_return Result<>();
}

asio::awaitable<Result<>> AgentClient::UpdateRoutes(grpc::Routes routes) {
  auto self = shared_from_this();
  grpc::UpdateRoutesRequest request;
  *request.mutable_routes() = std::move(routes);
  CO_TRY(co_await Call<grpc::Routes>(kAgentService, "UpdateRoutes", std::move(request), patience_(), kListReply));
  co_return Result<>();
}

asio::awaitable<Result<>> AgentClient::AddNeighbors(grpc::ARPNeighbors neighbors) {
  grpc::AddARPNeighborsRequest request;
  *request.mutable_neighbors() = std::move(neighbors);
  return Do("AddARPNeighbors", std::move(request), patience_());
}

asio::awaitable<Result<std::string>> AgentClient::ListProcesses(std::string container) {
  auto self = shared_from_this();
  grpc::GetDiagnosticDataRequest request;
  request.set_log_type(contract::kProcessesLog);
  request.set_container_id(std::move(container));
  CO_TRY_ASSIGN(auto reply, co_await Call<grpc::GetDiagnosticDataResponse>(
                                kAgentService, "GetDiagnosticData", std::move(request), patience_(), kListReply));
  co_return std::move(*reply.mutable_data());
}

asio::awaitable<Result<int>> AgentClient::WaitProcess(AgentProcess process) {
  auto self = shared_from_this();
  auto request = For<grpc::WaitProcessRequest>(std::move(process));
  CO_TRY_ASSIGN(auto reply, co_await Call<grpc::WaitProcessResponse>(kAgentService, "WaitProcess", std::move(request),
                                                                     rpc::kNoTimeout, kSmallReply));
  if (reply.status() < 0 || reply.status() > 255) {
    on_fault_(fmt::format("the agent reported an exit status of {}", reply.status()));
    co_return Fail(Code::kInternal, "{} is no exit status", reply.status());
  }
  co_return reply.status();
}

asio::awaitable<Result<grpc::ReadStreamResponse>> AgentClient::ReadStream(AgentProcess process, OutputName stream,
                                                                          size_t length) {
  auto request = For<grpc::ReadStreamRequest>(std::move(process));
  request.set_len(static_cast<uint32_t>(length));
  request.set_past_exit(true);
  return Call<grpc::ReadStreamResponse>(kAgentService, stream == OutputName::kStdout ? "ReadStdout" : "ReadStderr",
                                        std::move(request), rpc::kNoTimeout, kStreamReply);
}

asio::awaitable<Result<OutputPiece>> AgentClient::ReadOutput(AgentProcess process, OutputName stream) {
  auto self = shared_from_this();
  CO_TRY_ASSIGN(auto reply, co_await ReadStream(std::move(process), stream, kStreamChunk));
  if (reply.data().size() > kStreamChunk) {
    on_fault_(
        fmt::format("the agent sent {} bytes of output where {} were asked for", reply.data().size(), kStreamChunk));
    co_return Fail(Code::kInternal, "more output than was asked for");
  }
  co_return OutputPiece{.data = std::move(*reply.mutable_data()), .held = reply.held()};
}

asio::awaitable<Result<>> AgentClient::CloseOutput(AgentProcess process, OutputName stream) {
  auto self = shared_from_this();
  CO_TRY(co_await ReadStream(std::move(process), stream, 0));
  co_return Result<>();
}

asio::awaitable<Result<>> AgentClient::AwaitStdinClosed(AgentProcess process) {
  return Do("AwaitStdinClosed", For<grpc::AwaitStdinClosedRequest>(std::move(process)), rpc::kNoTimeout);
}

asio::awaitable<Result<size_t>> AgentClient::WriteStdin(AgentProcess process, std::string data) {
  auto self = shared_from_this();
  size_t size = data.size();
  auto request = For<grpc::WriteStreamRequest>(std::move(process));
  request.set_data(std::move(data));
  CO_TRY_ASSIGN(auto reply, co_await Call<grpc::WriteStreamResponse>(kAgentService, "WriteStdin", std::move(request),
                                                                     rpc::kNoTimeout, kSmallReply));
  if (reply.len() > size) {
    on_fault_(fmt::format("the agent says that it took {} of {} bytes of stdin", reply.len(), size));
    co_return Fail(Code::kInternal, "more stdin was taken than was offered");
  }
  // After 0 the caller would offer the same data for ever.
  if (reply.len() == 0) co_return Fail(Code::kUnavailable, "the container takes no more stdin");
  co_return reply.len();
}

}  // namespace kata::sandbox
