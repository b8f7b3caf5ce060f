// SPDX-License-Identifier: Apache-2.0
// The services of a shim: Task, which is the sandbox's own and begins with the first Create, and Sandbox, with which
// containerd 2 makes the sandbox before there is a container.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/sandbox.pb.h"
#include "protocol/shim.pb.h"
#include "rpc/server.h"
#include "sandbox/host/host_cgroups.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/sandbox.h"
#include "sandbox/task/port_forward.h"
#include "sandbox/task/task_service.h"
#include "shim/loggers.h"
#include "shim/publisher.h"

namespace kata::shim {

namespace api = containerd::runtime::sandbox::v1;

// What a shim process is made with.
struct ShimParts {
  std::string id;  // the sandbox's
  std::string namespace_name;
  std::string socket;  // where it is served
  std::string config;  // the configuration file that containerd's options named to `start`; empty: none
  bool debug = false;
  UniqueFd directory;  // ROOT/ID, opened in this process's own mount namespace
  sandbox::MountNamespaces mounts;
  std::shared_ptr<Publisher> publisher;
  std::shared_ptr<Loggers> loggers;
  std::shared_ptr<sandbox::CgroupVisit> cgroups;  // gets the stay that begins with the sandbox
};

class ShimService {
 public:
  ShimService(const asio::any_io_executor& executor, ShimParts parts);

  const rpc::MethodTable& table() const { return table_; }
  // Returns when the shim is to end: its sandbox has ended and Shutdown was called.
  asio::awaitable<void> Run();
  // Ends the sandbox in order, and with it the shim, as for SIGTERM.
  void RequestEnd();

 private:
  asio::awaitable<Result<rpc::Payload>> Call(std::string method, std::string payload);
  // What a sandbox begins with.
  struct Beginning {
    std::string bundle;
    wkt::Any options;
    std::string network;              // the pod's network namespace; empty: as the bundle's spec says
    std::optional<oci::Bundle> made;  // in the place of one that has a config.json
    bool standing = false;            // made by the Sandbox service
  };
  Result<> Begin(Beginning beginning);
  // What is answered before there is a sandbox.
  Result<std::string> AnswerWithoutSandbox(const std::string& method, const std::string& payload);
  // That it cannot be done is no reason to have no pod: the log says it.
  void ForwardPorts(const sandbox::network::Namespace& pod);
  asio::awaitable<void> RunSandbox(std::shared_ptr<sandbox::Sandbox> sandbox);

  // The Sandbox service (sandbox_service.cpp).
  void AddSandboxMethods();
  template <typename Request, typename Reply>
  void AddSandboxMethod(const char* method, asio::awaitable<Result<Reply>> (ShimService::*function)(Request));
  asio::awaitable<Result<api::CreateSandboxResponse>> CreateSandbox(api::CreateSandboxRequest request);
  asio::awaitable<Result<api::StartSandboxResponse>> StartSandbox(api::StartSandboxRequest request);
  asio::awaitable<Result<api::PlatformResponse>> Platform(api::PlatformRequest request);
  asio::awaitable<Result<api::StopSandboxResponse>> StopSandbox(api::StopSandboxRequest request);
  asio::awaitable<Result<api::WaitSandboxResponse>> WaitSandbox(api::WaitSandboxRequest request);
  asio::awaitable<Result<api::SandboxStatusResponse>> SandboxStatus(api::SandboxStatusRequest request);
  asio::awaitable<Result<api::PingResponse>> PingSandbox(api::PingRequest request);
  asio::awaitable<Result<api::ShutdownSandboxResponse>> ShutdownSandbox(api::ShutdownSandboxRequest request);
  asio::awaitable<Result<api::SandboxMetricsResponse>> SandboxMetrics(api::SandboxMetricsRequest request);
  // kNotFound: there is none, or it has another id.
  Result<std::shared_ptr<sandbox::Sandbox>> FindSandbox(const std::string& id);

  asio::any_io_executor executor_;
  ShimParts parts_;
  rpc::MethodTable table_;
  std::shared_ptr<sandbox::Sandbox> sandbox_;
  std::unique_ptr<sandbox::TaskService> task_;
  std::unique_ptr<sandbox::PortForward> forward_;
  Event begun_;    // there is a sandbox, or there will be none
  Event ended_;    // the sandbox has ended
  pid_t vmm_ = 0;  // known from StartSandbox on
  timespec created_at_{};
  timespec ended_at_{};
  bool well_ = true;  // how the sandbox ended
};

}  // namespace kata::shim
