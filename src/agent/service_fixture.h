// SPDX-License-Identifier: Apache-2.0
// For tests: the agent's services over a real connection, with real containers.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/container/container_fixture.h"
#include "agent/services.h"
#include "protocol/guest_contract.h"
#include "protocol/wkt.pb.h"
#include "rpc/client.h"

namespace kata::agent {

class ServiceTest : public ContainerTest {
 protected:
  static void SetUpTestSuite() {
    signal(SIGPIPE, SIG_IGN);
    // Keeps the mounts of the tests out of the host's mount namespace.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
  }

  void SetUp() override {
    ContainerTest::SetUp();
    agent::Options options;
    options.cgroup_mount = cgroup_mount_;
    options.hotplug_timeout = std::chrono::seconds(0);
    pod_ = std::make_unique<Pod>(executor(), *GuestDir::Open(directory_), options);
    AddServices(table_, *pod_);
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    asio::co_spawn(executor(), rpc::Serve(rpc::Connection::Create(executor(), UniqueFd(ends[0])), table_),
                   asio::detached);
    client_ = rpc::Client::Create(executor(), UniqueFd(ends[1]));
  }

  void TearDown() override {
    EXPECT_TRUE(Call<wkt::Empty>("DestroySandbox", grpc::DestroySandboxRequest()));
    client_->Close();
    ContainerTest::TearDown();
  }

  template <typename Reply, typename Request>
  Result<Reply> Call(const std::string& method, const Request& request) {
    return Await(client_->Call<Reply>(contract::kAgentService, method, request));
  }

  // Starts a call and stores its reply in reply when it arrives.
  template <typename Reply, typename Request>
  void StartCall(const std::string& method, const Request& request, std::optional<Result<Reply>>& reply) {
    asio::co_spawn(executor(), client_->Call<Reply>(contract::kAgentService, method, request),
                   [&reply](std::exception_ptr, Result<Reply> value) { reply = std::move(value); });
  }

  // One round of the event loop.
  static asio::awaitable<bool> Tick() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return true;
  }

  // A request of type Request for a container or one of its processes.
  template <typename Request>
  static Request On(const std::string& id, const std::string& exec_id) {
    Request request;
    request.set_container_id(id);
    request.set_exec_id(exec_id);
    return request;
  }

  // The id contains this process's pid, because ids become cgroups of this host.
  static std::string Id(const std::string& name) { return fmt::format("kata-service-{}-{}", getpid(), name); }

  grpc::CreateContainerRequest Create(const std::string& id, const std::string& script) const {
    grpc::CreateContainerRequest request;
    request.set_container_id(id);
    request.set_exec_id(id);
    *request.mutable_oci() = Spec(script);
    return request;
  }

  // Creates and starts.
  void Begin(const std::string& id, const std::string& script) {
    auto created = Call<wkt::Empty>("CreateContainer", Create(id, script));
    ASSERT_TRUE(created) << created.error().message();
    grpc::StartContainerRequest start;
    start.set_container_id(id);
    auto started = Call<wkt::Empty>("StartContainer", start);
    ASSERT_TRUE(started) << started.error().message();
  }

  Result<wkt::Empty> Exec(const std::string& id, const std::string& exec_id, const std::string& script,
                          bool terminal = false) {
    auto request = On<grpc::ExecProcessRequest>(id, exec_id);
    *request.mutable_process() = Script(script);
    request.mutable_process()->set_terminal(terminal);
    return Call<wkt::Empty>("ExecProcess", request);
  }

  std::string Read(const std::string& id, const std::string& exec_id, const std::string& method = "ReadStdout") {
    std::string all;
    auto request = On<grpc::ReadStreamRequest>(id, exec_id);
    request.set_len(UINT32_MAX);
    for (;;) {
      auto reply = Call<grpc::ReadStreamResponse>(method, request);
      EXPECT_TRUE(reply) << reply.error().message();
      if (!reply || reply->data().empty()) return all;
      all += reply->data();
    }
  }

  int Wait(const std::string& id, const std::string& exec_id) {
    auto reply = Call<grpc::WaitProcessResponse>("WaitProcess", On<grpc::WaitProcessRequest>(id, exec_id));
    EXPECT_TRUE(reply) << reply.error().message();
    return reply ? reply->status() : -1;
  }

  Result<wkt::Empty> Signal(const std::string& id, const std::string& exec_id, uint32_t signal) {
    auto request = On<grpc::SignalProcessRequest>(id, exec_id);
    request.set_signal(signal);
    return Call<wkt::Empty>("SignalProcess", request);
  }

  Result<wkt::Empty> Remove(const std::string& id) {
    grpc::RemoveContainerRequest request;
    request.set_container_id(id);
    return Call<wkt::Empty>("RemoveContainer", request);
  }

  bool Exists(const std::string& path) const {
    struct stat status {};
    return lstat((directory_ + "/" + path).c_str(), &status) == 0;
  }

  std::unique_ptr<Pod> pod_;
  rpc::MethodTable table_;
  std::shared_ptr<rpc::Client> client_;
};

}  // namespace kata::agent
