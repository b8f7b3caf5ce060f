// SPDX-License-Identifier: Apache-2.0
// The VM of a sandbox with virtiofsd and the agent in it: boots them, notices when one of them fails and why, ends
// them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "base/patience.h"
#include "base/result.h"
#include "config/config.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/virtiofsd.h"
#include "protocol/agent.pb.h"
#include "sandbox/agent_client.h"
#include "sandbox/network/network.h"
#include "sandbox/timing.h"

namespace kata::sandbox {

using hypervisor::VmSize;

// What a VM is made of. Tests put other things in the places of QEMU and virtiofsd.
struct VmParts {
  std::string id;
  config::AgentConfig agent;
  double timeout_factor = 1;  // of the configuration
  uid_t vmm_user = 0;         // and group
  VmSize max_size;            // hot-plug ceiling; off unless it exceeds the initial size
  std::chrono::milliseconds health_interval{10000};
  bool pod = false;                           // several containers
  std::chrono::milliseconds kill_timeout{0};  // of a container that got SIGKILL; 0: KillPatience's own
  std::unique_ptr<hypervisor::Hypervisor> hypervisor;
  std::shared_ptr<network::Network> network;                       // null: the guest has none
  std::function<Result<hypervisor::Virtiofsd>()> start_virtiofsd;  // empty: no shared files
};

// Once it has failed it stays failed.
class Vm : public std::enable_shared_from_this<Vm> {
 public:
  Vm(const asio::any_io_executor& executor, VmParts parts);

  const asio::any_io_executor& executor() const { return executor_; }
  // Starts everything, and sends the agent this request. The outcome is Ready's.
  static asio::awaitable<void> Boot(std::shared_ptr<Vm> self, VmSize size, grpc::CreateSandboxRequest request);
  // Waits for the boot, and for the guest's network to be as the pod's is now. kUnavailable, with all that is known of
  // the cause: stderr of the one that died, console.
  asio::awaitable<Result<>> Ready();
  // Happens when the VMM runs, or will not.
  const Event& vm_settled() const { return vm_settled_; }
  // Happens when the VM fails, in its boot or later; not when it is stopped.
  const Event& failed() const { return failed_; }
  const std::string& failure() const { return failure_; }
  // An error of a call to the agent, put better where the VM's failure is behind it.
  asio::awaitable<Error> Explain(Error error);

  // Valid once Ready has succeeded.
  const std::shared_ptr<AgentClient>& agent() const { return agent_; }
  hypervisor::Hypervisor& hypervisor() { return *parts_.hypervisor; }
  // The process ids of the VMM and of virtiofsd.
  std::vector<pid_t> Pids() const;
  // For something that takes this long on a real VM of a host that is not busy. key: that of the configuration for it.
  // While the guest boots, its work is progress; later only the host is an excuse, since a guest may always be busy.
  Patience PatienceFor(std::chrono::milliseconds time, std::string key = "") const;
  // For the agent's work on a container or process.
  Patience CreatePatience() const;
  // How long a container may live on after SIGKILL, before the VM is taken for hung. Longer where others would die
  // with it, or what is not on disk yet would be lost.
  Patience KillPatience(bool has_disks) const;
  Timing& timing() { return timing_; }
  // The initial size; valid once Boot has been called.
  const VmSize& size() const { return size_; }

  // Fails the VM: the cause is sought for a moment, the VM is killed, failed() happens.
  void Fault(std::string why);
  // Ends VM and virtiofsd, so that none of them is left; graceful: asks the agent first, for a bounded time, which is
  // longer where disks have to be written back.
  asio::awaitable<void> Stop(bool graceful, bool has_disks = false);

 private:
  asio::awaitable<Result<>> BootSteps(VmSize size, grpc::CreateSandboxRequest request);
  asio::awaitable<Result<>> BeginNetwork();
  asio::awaitable<Result<>> GreetAgent(grpc::CreateSandboxRequest request);
  static asio::awaitable<void> Conclude(std::shared_ptr<Vm> self, std::string why);
  static asio::awaitable<void> WatchVm(std::shared_ptr<Vm> self);
  static asio::awaitable<void> WatchVirtiofsd(std::shared_ptr<Vm> self);
  static asio::awaitable<void> WatchConnection(std::shared_ptr<Vm> self);
  static asio::awaitable<void> CheckHealth(std::shared_ptr<Vm> self);
  void Cause(std::string what);
  Effort Look() const;
  Patience Unscaled(std::chrono::milliseconds time, std::string key) const;

  asio::any_io_executor executor_;
  VmParts parts_;
  hypervisor::Virtiofsd virtiofsd_;
  std::shared_ptr<AgentClient> agent_;
  Timing timing_;
  VmSize size_;
  Event vm_settled_;
  Event settled_;  // booted, or failed
  Event failed_;
  Event cause_known_;
  Event vm_exited_;
  Event virtiofsd_exited_;
  Event stopped_;
  std::string cause_;  // the first part that was seen to die
  std::string failure_;
  bool vm_started_ = false;
  bool booted_ = false;
  bool faulted_ = false;
};

}  // namespace kata::sandbox
