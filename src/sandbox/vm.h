// SPDX-License-Identifier: Apache-2.0
// Boots the VM of a sandbox with its file server and agent, detects which of them fails and why, and ends them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "base/patience.h"
#include "base/result.h"
#include "config/config.h"
#include "hypervisor/file_server.h"
#include "hypervisor/hypervisor.h"
#include "protocol/agent.pb.h"
#include "sandbox/agent_client.h"
#include "sandbox/network/network.h"
#include "sandbox/timing.h"

namespace kata::sandbox {

using hypervisor::VmSize;

// What a Vm is made from. Tests replace the hypervisor and the file server.
struct VmParts {
  std::string id;
  config::AgentConfig agent;
  double timeout_factor = 1;  // timeout_factor in [runtime]
  hypervisor::VmmUser vmm_user;
  VmSize max_size;  // hot-plug ceiling; off unless it exceeds the initial size
  std::chrono::milliseconds health_interval{10000};
  bool pod = false;                           // the sandbox may hold several containers
  std::chrono::milliseconds kill_timeout{0};  // overrides KillPatience's time; 0: no override
  std::unique_ptr<hypervisor::Hypervisor> hypervisor;
  std::shared_ptr<network::Network> network;                          // null: the guest has no network
  std::function<Result<hypervisor::FileServer>()> start_file_server;  // empty: no files are shared
};

// One VM, from its boot to its end. A failure is final. Not thread-safe: all calls come from the executor's thread.
class Vm : public std::enable_shared_from_this<Vm> {
 public:
  Vm(const asio::any_io_executor& executor, VmParts parts);

  const asio::any_io_executor& executor() const { return executor_; }
  // Starts the file server, the VMM and the network, and sends the agent `request`. Call it once; Ready reports the
  // outcome.
  static asio::awaitable<void> Boot(std::shared_ptr<Vm> self, VmSize size, grpc::CreateSandboxRequest request);
  // Waits for the boot, then brings the guest's network up to date with the pod's. kUnavailable: the VM has failed or
  // is being ended. After a failure the message has the cause, such as the stderr of the process that died, and the end
  // of the guest's console. Other errors are Network::Settle's.
  asio::awaitable<Result<>> Ready();
  // Happens when the VMM has started, or when it is certain that it will not (failed or stopped).
  const Event& vm_settled() const { return vm_settled_; }
  // Happens when the VM fails, during its boot or later. Stop does not make it happen.
  const Event& failed() const { return failed_; }
  // The cause of the failure, for people. Empty until failed() happens.
  const std::string& failure() const { return failure_; }
  // Replaces the error of an agent call by the VM's failure where that is the cause. Waits a moment for the failure to
  // become known.
  asio::awaitable<Error> Explain(Error error);

  // Null until the agent's channel is connected. For use once Ready has succeeded.
  const std::shared_ptr<AgentClient>& agent() const { return agent_; }
  // Null: the guest has no network.
  const std::shared_ptr<network::Network>& network() const { return parts_.network; }
  hypervisor::Hypervisor& hypervisor() { return *parts_.hypervisor; }
  // The process ids of the VMM and of the file server.
  std::vector<pid_t> Pids() const;
  // The patience for something that takes at most `time` on an idle host with hardware virtualization. An emulated VM
  // gets Capabilities::timeout_scale times as long. key: the key in [agent.kata] that changes the time, for messages.
  // During the boot, work of the guest stops the clock as well (Patience::Kind::kWork). Later only a busy host does
  // (kAnswer), since a running guest may always be busy.
  Patience PatienceFor(std::chrono::milliseconds time, std::string key = "") const;
  // For agent calls that create or start a container or a process (create_container_timeout).
  Patience CreatePatience() const;
  // How long a container may live after SIGKILL before the VM counts as hung. Longer in a pod and where more is lost
  // with the VM: other containers, or data that has not been written back to disks. Not scaled for emulation.
  Patience KillPatience(bool loses_more) const;
  Timing& timing() { return timing_; }
  // The initial size; valid once Boot has been called.
  const VmSize& size() const { return size_; }

  // Fails the VM: waits a moment to learn which part died first, then kills the VM, and failed() happens. No effect
  // after an earlier Fault or Stop.
  void Fault(std::string why);
  // Kills the VMM and the file server and waits, for a bounded time, until they have exited. graceful: first asks the
  // agent to shut down, for a bounded time; has_disks: that time allows for write-back (kWriteBackTime).
  asio::awaitable<void> Stop(bool graceful, bool has_disks = false);

 private:
  asio::awaitable<Result<>> BootSteps(VmSize size, grpc::CreateSandboxRequest request);
  asio::awaitable<Result<>> BeginNetwork();
  asio::awaitable<Result<>> GreetAgent(grpc::CreateSandboxRequest request);
  static asio::awaitable<void> Conclude(std::shared_ptr<Vm> self, std::string why);
  static asio::awaitable<void> WatchVm(std::shared_ptr<Vm> self);
  static asio::awaitable<void> WatchFileServer(std::shared_ptr<Vm> self);
  static asio::awaitable<void> WatchConnection(std::shared_ptr<Vm> self);
  static asio::awaitable<void> CheckHealth(std::shared_ptr<Vm> self);
  // Sets the guest's clock now, and whenever the host's is set.
  static asio::awaitable<void> KeepTime(std::shared_ptr<Vm> self);
  void IgnoreClock();
  void Cause(std::string what);
  Effort Look() const;
  Patience Unscaled(std::chrono::milliseconds time, std::string key) const;

  asio::any_io_executor executor_;
  VmParts parts_;
  hypervisor::FileServer file_server_;
  std::shared_ptr<AgentClient> agent_;
  Timing timing_;
  VmSize size_;
  Event vm_settled_;
  Event settled_;  // booted, failed or stopped
  Event failed_;
  Event cause_known_;
  Event vm_exited_;
  Event file_server_exited_;
  Event stopped_;
  asio::posix::stream_descriptor clock_;  // of WatchClock; not open before the agent answers, and at the end
  std::string cause_;                     // of the first part that was seen to die
  std::string failure_;
  bool vm_started_ = false;
  bool booted_ = false;
  bool faulted_ = false;
};

}  // namespace kata::sandbox
