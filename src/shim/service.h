// SPDX-License-Identifier: Apache-2.0
// The services of a shim: Task, which belongs to the sandbox and begins with the first Create, and Sandbox, with which
// containerd 2 creates the sandbox before its first container.
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
#include "shim/runtime_options.h"

namespace kata::shim {

namespace api = containerd::runtime::sandbox::v1;

// The parts from which a shim is built.
struct ShimParts {
  std::string id;  // the sandbox's id
  std::string namespace_name;
  std::string socket;      // the path of the shim's socket
  RuntimeOptions options;  // those that `start` was given
  bool debug = false;
  UniqueFd directory;  // the sandbox's directory, opened in this process's mount namespace
  sandbox::MountNamespaces mounts;
  std::shared_ptr<Publisher> publisher;
  std::shared_ptr<Loggers> loggers;
  std::shared_ptr<sandbox::CgroupVisit> cgroups;  // enters the sandbox's cgroups when the sandbox begins
};
// Must live until the event loop has stopped: its coroutines refer to it. Not thread-safe.

class ShimService {
 public:
  ShimService(const asio::any_io_executor& executor, ShimParts parts);

  const rpc::MethodTable& table() const { return table_; }
  // Returns when the shim is to exit: its sandbox has ended and Shutdown was called, or RequestEnd was called before
  // there was a sandbox.
  asio::awaitable<void> Run();
  // Ends the containers by a signal, and the sandbox with them (Sandbox::Stop). The shim stays for as long as
  // containerd wants to know their statuses; without a sandbox that runs it ends. Returns at once.
  void Stop(int signal);
  // Ends the sandbox in order and then the shim. Returns at once.
  void RequestEnd();

 private:
  asio::awaitable<Result<rpc::Payload>> Call(std::string method, std::string payload);
  // The parameters from which a sandbox begins.
  struct Beginning {
    std::string bundle;
    wkt::Any options;
    std::string network;              // the pod's network namespace; empty: that of the bundle's spec
    std::optional<oci::Bundle> made;  // from MakePodBundle, if the bundle has no config.json
    bool standing = false;            // created by the Sandbox service: lives on without containers
  };
  Result<> Begin(Beginning beginning);
  // Answers calls of Task before there is a sandbox.
  Result<std::string> AnswerWithoutSandbox(const std::string& method, const std::string& payload);
  // Logs a failure: a pod works without port forwarding.
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
  // kNotFound: there is no sandbox yet, or it has another id.
  Result<std::shared_ptr<sandbox::Sandbox>> FindSandbox(const std::string& id);

  asio::any_io_executor executor_;
  ShimParts parts_;
  rpc::MethodTable table_;
  std::shared_ptr<sandbox::Sandbox> sandbox_;
  std::unique_ptr<sandbox::TaskService> task_;
  std::unique_ptr<sandbox::PortForward> forward_;
  Event begun_;    // a sandbox exists, or the shim ends without one
  Event ended_;    // the sandbox has ended
  pid_t vmm_ = 0;  // the VMM's pid; 0 before StartSandbox
  timespec created_at_{};
  timespec ended_at_{};
  bool well_ = true;  // false: the sandbox failed
};

}  // namespace kata::shim
