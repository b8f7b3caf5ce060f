// SPDX-License-Identifier: Apache-2.0
#include "sandbox/testing/fake_agent.h"

#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace kata::sandbox::testing {
namespace {

asio::awaitable<void> ServeOne(std::shared_ptr<rpc::Connection> connection, const rpc::MethodTable& table) {
  (void)co_await rpc::Serve(connection, table);
}

}  // namespace

template <typename Request>
void FakeAgent::On(const char* method, std::function<Result<>(const Request&)> function) {
  table_.Method<Request, wkt::Empty>(contract::kAgentService, method,
                                     [this, function](Request request) -> asio::awaitable<Result<wkt::Empty>> {
                                       while (!answers) co_await Changed();
                                       CO_TRY(function(request));
                                       co_return wkt::Empty();
                                     });
}

FakeAgent::FakeAgent(const asio::any_io_executor& executor) : executor_(executor), changed_(executor) {
  table_.Method<grpc::CheckRequest, grpc::HealthCheckResponse>(
      contract::kHealthService, "Check",
      [this](grpc::CheckRequest) -> asio::awaitable<Result<grpc::HealthCheckResponse>> {
        while (!answers) co_await Changed();
        grpc::HealthCheckResponse reply;
        reply.set_status(grpc::HealthCheckResponse::SERVING);
        co_return reply;
      });
  auto note = [this](std::string what) -> Result<> {
    calls.push_back(std::move(what));
    return {};
  };
  On<grpc::CreateSandboxRequest>("CreateSandbox",
                                 [note](const auto& r) { return note("CreateSandbox " + r.hostname()); });
  On<grpc::DestroySandboxRequest>("DestroySandbox", [note](const auto&) { return note("DestroySandbox"); });
  On<grpc::SetGuestDateTimeRequest>("SetGuestDateTime", [note](const auto&) { return note("SetGuestDateTime"); });
  On<grpc::CreateContainerRequest>("CreateContainer", [this](const auto& r) -> Result<> {
    calls.push_back("CreateContainer " + r.container_id());
    created = r;
    if (!create_error.empty()) return Fail(Code::kNotFound, "{}", create_error);
    process(r.container_id(), r.container_id());
    return {};
  });
  On<grpc::ExecProcessRequest>("ExecProcess", [this](const auto& r) -> Result<> {
    calls.push_back("ExecProcess " + r.container_id() + " " + r.exec_id());
    if (!create_error.empty()) return Fail(Code::kNotFound, "{}", create_error);
    process(r.container_id(), r.exec_id());
    return {};
  });
  On<grpc::StartContainerRequest>("StartContainer",
                                  [note](const auto& r) { return note("StartContainer " + r.container_id()); });
  On<grpc::RemoveContainerRequest>("RemoveContainer",
                                   [note](const auto& r) { return note("RemoveContainer " + r.container_id()); });
  On<grpc::PauseContainerRequest>("PauseContainer",
                                  [note](const auto& r) { return note("PauseContainer " + r.container_id()); });
  On<grpc::ResumeContainerRequest>("ResumeContainer",
                                   [note](const auto& r) { return note("ResumeContainer " + r.container_id()); });
  On<grpc::UpdateContainerRequest>("UpdateContainer",
                                   [note](const auto& r) { return note("UpdateContainer " + r.container_id()); });
  On<grpc::OnlineCPUMemRequest>("OnlineCPUMem",
                                [note](const auto& r) { return note(fmt::format("OnlineCPUMem {}", r.nb_cpus())); });
  On<grpc::SignalProcessRequest>("SignalProcess", [this](const auto& r) -> Result<> {
    calls.push_back(fmt::format("SignalProcess {} {} {}", r.container_id(), r.exec_id(), r.signal()));
    End(r.container_id(), r.exec_id().empty() ? r.container_id() : r.exec_id(), 128 + static_cast<int>(r.signal()));
    return {};
  });
  On<grpc::TtyWinResizeRequest>("TtyWinResize", [this](const auto& r) -> Result<> {
    process(r.container_id(), r.exec_id()).rows = r.row();
    return {};
  });
  On<grpc::CloseStdinRequest>("CloseStdin", [this](const auto& r) -> Result<> {
    process(r.container_id(), r.exec_id()).stdin_closed = true;
    return {};
  });
  Replace<grpc::WriteStreamRequest, grpc::WriteStreamResponse>(
      "WriteStdin", [this](grpc::WriteStreamRequest r) -> asio::awaitable<Result<grpc::WriteStreamResponse>> {
        process(r.container_id(), r.exec_id()).in += r.data();
        grpc::WriteStreamResponse reply;
        reply.set_len(static_cast<uint32_t>(r.data().size()));
        co_return reply;
      });
  Replace<grpc::AwaitStdinClosedRequest, wkt::Empty>(
      "AwaitStdinClosed", [this](grpc::AwaitStdinClosedRequest r) -> asio::awaitable<Result<wkt::Empty>> {
        const Process& of = process(r.container_id(), r.exec_id());
        while (!of.stdin_unread && !of.ended) co_await Changed();
        co_return wkt::Empty();
      });
  Replace<grpc::ReadStreamRequest, grpc::ReadStreamResponse>(
      "ReadStdout", [this](grpc::ReadStreamRequest r) { return Read(std::move(r), false); });
  Replace<grpc::ReadStreamRequest, grpc::ReadStreamResponse>(
      "ReadStderr", [this](grpc::ReadStreamRequest r) { return Read(std::move(r), true); });
  Replace<grpc::WaitProcessRequest, grpc::WaitProcessResponse>(
      "WaitProcess", [this](grpc::WaitProcessRequest r) { return Wait(std::move(r)); });
}

UniqueFd FakeAgent::Connect() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return {};
  auto connection = rpc::Connection::Create(executor_, UniqueFd(fds[0]));
  connections_.push_back(connection);
  asio::co_spawn(executor_, ServeOne(connection, table_), asio::detached);
  return UniqueFd(fds[1]);
}

void FakeAgent::Disconnect() {
  for (auto& connection : connections_) connection->Close();
}

FakeAgent::Process& FakeAgent::process(const std::string& container, const std::string& exec) {
  return processes_[container + "/" + exec];
}

void FakeAgent::End(const std::string& container, const std::string& exec, int status) {
  Process& of = process(container, exec);
  of.ended = true;
  of.status = status;
  Change();
}

void FakeAgent::Write(const std::string& container, const std::string& exec, std::string data) {
  process(container, exec).out.push_back(std::move(data));
  Change();
}

asio::awaitable<Result<grpc::ReadStreamResponse>> FakeAgent::Read(grpc::ReadStreamRequest request, bool err) {
  Process& of = process(request.container_id(), request.exec_id());
  grpc::ReadStreamResponse reply;
  if (request.len() == 0) {
    of.out_closed_by_host = true;
    co_return reply;
  }
  auto& chunks = err ? of.err : of.out;
  const auto at_end = [&of, err] { return (of.ended && !of.held) || (of.out_closed && !err); };
  while (chunks.empty() && !at_end()) {
    if (of.ended && request.past_exit() && !(of.told_held[err ? 1 : 0])) {
      of.told_held[err ? 1 : 0] = true;
      reply.set_held(true);
      co_return reply;
    }
    co_await Changed();
  }
  if (!chunks.empty()) {
    reply.set_data(chunks.front().substr(0, request.len()));
    chunks.front().erase(0, request.len());
    if (chunks.front().empty()) chunks.pop_front();
  }
  co_return reply;
}

asio::awaitable<Result<grpc::WaitProcessResponse>> FakeAgent::Wait(grpc::WaitProcessRequest request) {
  Process& of = process(request.container_id(), request.exec_id());
  while (!of.ended) co_await Changed();
  grpc::WaitProcessResponse reply;
  reply.set_status(of.status);
  co_return reply;
}

asio::awaitable<void> FakeAgent::Changed() {
  Event changed = changed_;
  co_await changed.Wait();
}

void FakeAgent::Change() { std::exchange(changed_, Event(executor_)).Happen(); }

}  // namespace kata::sandbox::testing
