// SPDX-License-Identifier: Apache-2.0
// The network of a sandbox: the network cards of its VM, what the agent is told about them, and changes while the VM
// runs.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "base/result.h"
#include "hypervisor/hypervisor.h"
#include "protocol/agent.pb.h"
#include "sandbox/agent_client.h"
#include "sandbox/network/attach.h"
#include "sandbox/network/dan.h"
#include "sandbox/network/namespace.h"
#include "sandbox/network/scan.h"

namespace kata::sandbox::network {

// What a pod gets that has the host's network: a VM cannot share the host's interfaces.
enum class HostNetwork {
  kRefused,       // kInvalidArgument
  kLoopbackOnly,  // the guest has loopback only
};

struct NetworkOptions {
  AttachOptions attach;
  HostNetwork host_network = HostNetwork::kRefused;
  std::string dan_conf;        // directory of DAN files; empty: none are read
  bool vmm_stays_out = false;  // disable_new_netns: the VMM stays out of the pod's namespace
};

// The network options of a configuration. vcpus: the default number of queues of a network card.
NetworkOptions OptionsOf(const config::Config& config, std::string sandbox, uint32_t vcpus, HostNetwork host_network);

// The network namespace of a spec (linux.namespaces): the one at its path, a new one if it has no path, or nothing if
// the spec has no network namespace, which means the host's network. Errors: Namespace::Open's.
Result<std::optional<Namespace>> NamespaceOf(const grpc::Spec& spec);

// Connects a pod's interfaces to the VM and keeps the guest's network like the pod's. Not thread-safe. The destructor
// calls End.
class Network : public std::enable_shared_from_this<Network> {
 public:
  // Attaches the interfaces that the pod's namespace has now, or opens the taps of the sandbox's DAN file instead. pod:
  // none means the host's network. An error takes everything back, and names the interface that cannot be attached.
  static Result<std::shared_ptr<Network>> Create(const asio::any_io_executor& executor, NetworkOptions options,
                                                 std::optional<Namespace> pod);
  ~Network();

  // For VmSpec, once: the network cards that the VM starts with, and the namespace for the VMM (not valid: the VMM
  // stays in this process's).
  std::vector<hypervisor::NetworkDevice> TakeDevices() { return std::move(devices_); }
  Result<UniqueFd> VmmNamespace() const;
  // For VmSpec: what of the pod's IPv6 the guest's kernel has to know at its boot. Interfaces are told later.
  std::vector<std::string> KernelParameters() const;
  // The pod's namespace; none: it has the host's network.
  const std::optional<Namespace>& pod() const { return pod_; }

  // Called once, when the VM runs and the agent answers: from then on the guest's network follows the pod's.
  void Follow(std::weak_ptr<hypervisor::Hypervisor> vm, std::shared_ptr<AgentClient> agent);
  // Brings the guest's network up to date with the pod's: plugs in new interfaces, removes those that have left, tells
  // the agent. For the moment before a container is made. kUnavailable: an interface could not be attached. Other
  // errors: the agent's.
  asio::awaitable<Result<>> Settle();
  // Removes what was made on the host. The VMM must have ended, or be about to. Later calls have no effect.
  void End();

 private:
  // One network card of the guest.
  struct Card {
    std::string id;
    std::optional<Attachment> attachment;  // none: a tap of a DAN file
    std::string told;                      // what the agent was told last; empty: nothing
  };

  Network(const asio::any_io_executor& executor, NetworkOptions options);
  Result<> AttachAll();
  Result<> OpenDanTaps(const Dan& dan);
  Result<hypervisor::NetworkDevice> AddCard(const PodInterface& interface);
  Result<PodNetwork> Look() const;
  static asio::awaitable<void> FollowEvents(std::shared_ptr<Network> self);
  asio::awaitable<Result<>> Reconcile();
  asio::awaitable<Result<>> ReconcileOnce();
  void WarnOnce(const PodNetwork& now);
  asio::awaitable<void> RemoveGone(PodNetwork now);
  asio::awaitable<Result<>> PlugNew(PodNetwork now);
  asio::awaitable<Result<>> TellAgent(PodNetwork now);

  asio::any_io_executor executor_;
  NetworkOptions options_;
  std::optional<Namespace> pod_;
  std::optional<PodNetwork> dan_;
  netlink::Owned<nl_sock> socket_;         // rtnetlink in pod_
  asio::posix::stream_descriptor events_;  // readable when something has changed in pod_
  std::vector<hypervisor::NetworkDevice> devices_;
  std::map<int, Card> cards_;           // by the index of the interface
  std::map<int, std::string> refused_;  // interfaces that could not be attached, and why
  std::set<std::string> warned_;        // warnings that have been logged
  std::string told_routes_;
  std::string told_neighbors_;
  int next_id_ = 0;
  std::weak_ptr<hypervisor::Hypervisor> vm_;
  std::shared_ptr<AgentClient> agent_;
  Lock lock_;  // one Reconcile at a time
  bool ended_ = false;
};

}  // namespace kata::sandbox::network
