// SPDX-License-Identifier: Apache-2.0
// For tests: a whole sandbox with a fake VM, used through its Task service and its stand-in socket.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "protocol/shim.pb.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "sandbox/record/directory.h"
#include "sandbox/sandbox.h"
#include "sandbox/stdio/standin_stdio.h"
#include "sandbox/task/task_client.h"
#include "sandbox/task/task_service.h"
#include "sandbox/testing/fake_agent.h"
#include "sandbox/testing/fake_hypervisor.h"
#include "sandbox/testing/run.h"
#include "sandbox/testing/say_hello.h"

// A call that must fail with this code, and with these words.
#define EXPECT_FAILS(call, expected_code, text)                        \
  do {                                                                 \
    auto failed = (call);                                              \
    ASSERT_FALSE(failed);                                              \
    EXPECT_EQ(failed.error().code(), expected_code);                   \
    EXPECT_THAT(failed.error().message(), ::testing::HasSubstr(text)); \
  } while (false)

namespace kata::sandbox::testing {

namespace task = containerd::task::v2;

// The test's end of one stand-in.
struct FakeStandin {
  pid_t pid = 0;
  UniqueFd connection;
  FdPair in = Pipe();
  FdPair out = Pipe();
  FdPair err = Pipe();

  // The next packet, such as "X 0". Empty: nothing yet. "EOF": the connection has ended.
  std::string Received() const {
    char text[64];
    ssize_t got = recv(connection.get(), text, sizeof(text), MSG_DONTWAIT);
    if (got == 0) return "EOF";
    return got > 0 ? std::string(text, static_cast<size_t>(got)) : std::string();
  }
};

class SandboxTest : public LoopTest {
 protected:
  SandboxTest() : agent_(io_.get_executor()), fake_vm_(std::make_shared<FakeVm>(io_.get_executor())) {
    fake_vm_->connect = [this] { return agent_.Connect(); };
    std::filesystem::create_directories(bundle_.path() + "/rootfs");
    WriteSpec(
        R"({"ociVersion":"1.0.2","process":{"cwd":"/","args":["true"],"user":{"uid":0,"gid":0}},)"
        R"("root":{"path":"rootfs"},"hostname":"inside","linux":{"namespaces":[{"type":"mount"},{"type":"uts"}]}})");
  }
  ~SandboxTest() override {
    if (client_) client_->Close();
    if (sandbox_) {
      sandbox_->RequestEnd(true);
      RunUntil([this] { return ended_.has_value(); });
    }
  }

  void WriteSpec(const std::string& json) { bundle_.Write("config.json", json); }
  virtual void ChangeParts(VmParts&) {}
  virtual void ChangeSandbox(SandboxParts&) {}
  virtual void ChangeInterface(TaskInterface&) {}

  // Boots the sandbox and connects to its Task service.
  void Begin() {
    VmParts vm;
    vm.id = "c1";
    vm.hypervisor = std::make_unique<FakeHypervisor>(fake_vm_);
    ChangeParts(vm);
    SandboxParts parts;
    parts.vm = std::make_shared<Vm>(io_.get_executor(), std::move(vm));
    auto standins = std::make_shared<StandinServer>(io_.get_executor());
    parts.state.id = "c1";
    parts.state.sandbox = *IdentifyProcess(getpid());
    parts.directory = dir_.fd();
    parts.growth = growth_;
    ChangeSandbox(parts);
    vm_ = parts.vm;
    asio::co_spawn(io_, StandinServer::Serve(standins, *ListenSeqpacket(dir_.fd(), kStandinSocket)),
                   [](std::exception_ptr) {});
    sandbox_ = std::make_shared<Sandbox>(io_.get_executor(), std::move(parts));
    TaskInterface interface {
      .stdio = std::make_unique<StandinStdioSource>(io_.get_executor(), standins),
      .serves_command_line = serves_command_line_
    };
    interface.events = [this](TaskEvent event) {
      if (on_event_) on_event_(event);
      events_.push_back(std::move(event));
    };
    ChangeInterface(interface);
    service_ = std::make_unique<TaskService>(sandbox_, std::move(interface));
    grpc::CreateSandboxRequest request;
    request.set_hostname("inside");
    asio::co_spawn(io_, Vm::Boot(vm_, VmSize{.vcpus = 1, .memory_mib = 64}, request), [](std::exception_ptr) {});
    asio::co_spawn(io_, Sandbox::Run(sandbox_), [this](std::exception_ptr, bool well) { ended_ = well; });
    auto pair = SocketPair();
    asio::co_spawn(io_,
                   rpc::Serve(rpc::Connection::Create(io_.get_executor(), std::move(pair.first)), service_->table()),
                   [](std::exception_ptr, Error) {});
    client_ = rpc::Client::Create(io_.get_executor(), std::move(pair.second));
  }

  template <typename Reply, typename Request>
  Result<Reply> Call(const std::string& method, const Request& request) {
    return Await(CallTask<Reply>(client_, method, request));
  }
  // Sends a call whose outcome the test looks at later.
  template <typename Reply, typename Request>
  std::shared_ptr<std::optional<Result<Reply>>> CallAside(const std::string& method, const Request& request) {
    auto outcome = std::make_shared<std::optional<Result<Reply>>>();
    asio::co_spawn(io_, CallTask<Reply>(client_, method, request),
                   [outcome](std::exception_ptr, Result<Reply> result) { *outcome = std::move(result); });
    return outcome;
  }

  FakeStandin NewStandin(const std::string& exec = "", const std::string& container = "c1") {
    FakeStandin standin;
    standin.pid = next_pid_++;
    standin.connection = *ConnectStandin(dir_.fd());
    std::string hello = fmt::format("H {} {}{}{}", standin.pid, container, exec.empty() ? "" : " ", exec);
    SayHello(standin.connection.get(), hello,
             {standin.in.first.get(), standin.out.second.get(), standin.err.second.get()});
    standin.in.first.Reset();
    standin.out.second.Reset();
    standin.err.second.Reset();
    return standin;
  }
  task::CreateTaskRequest CreateRequest(const FakeStandin* standin) const {
    task::CreateTaskRequest request;
    request.set_id("c1");
    request.set_bundle(bundle_.path());
    if (standin != nullptr) {
      request.set_stdin(StandinStdio(standin->pid));
      request.set_stdout(StandinStdio(standin->pid));
      request.set_stderr(StandinStdio(standin->pid));
    }
    return request;
  }
  Result<task::CreateTaskResponse> Create(const FakeStandin* standin = nullptr) {
    return Call<task::CreateTaskResponse>("Create", CreateRequest(standin));
  }
  Result<task::StartResponse> Start(const std::string& exec = "") {
    task::StartRequest request;
    request.set_id("c1");
    request.set_exec_id(exec);
    return Call<task::StartResponse>("Start", request);
  }
  task::ExecProcessRequest ExecRequest(const std::string& exec, const FakeStandin* standin) const {
    task::ExecProcessRequest request;
    request.set_id("c1");
    request.set_exec_id(exec);
    request.mutable_spec()->set_type_url(kProcessType);
    request.mutable_spec()->set_value(R"({"cwd":"/","args":["ls"],"user":{"uid":0,"gid":0}})");
    if (standin != nullptr) {
      request.set_stdin(StandinStdio(standin->pid));
      request.set_stdout(StandinStdio(standin->pid));
      request.set_stderr(StandinStdio(standin->pid));
    }
    return request;
  }
  Result<wkt::Empty> Exec(const std::string& exec, const FakeStandin* standin = nullptr) {
    return Call<wkt::Empty>("Exec", ExecRequest(exec, standin));
  }
  Result<wkt::Empty> Kill(uint32_t signal, bool all = false, const std::string& exec = "") {
    task::KillRequest request;
    request.set_id("c1");
    request.set_exec_id(exec);
    request.set_signal(signal);
    request.set_all(all);
    return Call<wkt::Empty>("Kill", request);
  }
  Result<task::StateResponse> GetState(const std::string& exec = "") {
    task::StateRequest request;
    request.set_id("c1");
    request.set_exec_id(exec);
    return Call<task::StateResponse>("State", request);
  }
  Result<task::DeleteResponse> Delete(const std::string& exec = "") {
    task::DeleteRequest request;
    request.set_id("c1");
    request.set_exec_id(exec);
    return Call<task::DeleteResponse>("Delete", request);
  }
  Result<task::WaitResponse> Wait(const std::string& exec = "") {
    task::WaitRequest request;
    request.set_id("c1");
    request.set_exec_id(exec);
    return Call<task::WaitResponse>("Wait", request);
  }
  template <typename Request>
  Result<wkt::Empty> Simple(const std::string& method) {
    Request request;
    request.set_id("c1");
    return Call<wkt::Empty>(method, request);
  }
  bool AgentWasTold(const std::string& call) const {
    return std::find(agent_.calls.begin(), agent_.calls.end(), call) != agent_.calls.end();
  }
  void RunUntilEnd() {
    RunUntil([this] { return ended_.has_value(); });
  }
  sandbox::State Stored() const { return *LoadState(dir_.fd()); }

  TempDir dir_;
  TempDir bundle_;
  FakeAgent agent_;
  std::vector<TaskEvent> events_;
  std::function<void(const TaskEvent&)> on_event_;  // called before the event is kept
  bool serves_command_line_ = true;
  GrowthRules growth_;  // by default the VM keeps its size
  std::shared_ptr<FakeVm> fake_vm_;
  std::shared_ptr<Vm> vm_;
  std::shared_ptr<Sandbox> sandbox_;
  std::unique_ptr<TaskService> service_;
  std::shared_ptr<rpc::Client> client_;
  std::optional<bool> ended_;  // what Sandbox::Run returned
  pid_t next_pid_ = 1000;
};

}  // namespace kata::sandbox::testing
