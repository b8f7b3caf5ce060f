// SPDX-License-Identifier: Apache-2.0
// The network of a sandbox: the cards of its VM, what the guest is told of them, and what changes while it runs.
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

// What a pod whose network is the host's gets: a VM cannot share the host's interfaces.
enum class HostNetwork {
  kRefused,       // kInvalidArgument: whoever asked for it gets told
  kLoopbackOnly,  // the guest has loopback and nothing else
};

struct NetworkOptions {
  AttachOptions attach;
  HostNetwork host_network = HostNetwork::kRefused;
  std::string dan_conf;        // the directory of DAN files; empty: none are looked for
  bool vmm_stays_out = false;  // disable_new_netns: the VMM does not enter the pod's namespace
};

// The configuration's network options; vcpus is the default number of queues of a card.
NetworkOptions OptionsOf(const config::Config& config, std::string sandbox, uint32_t vcpus, HostNetwork host_network);

// Where the pod of this spec has its network: the namespace at the path that it names, a new one of its own where it
// wants one and names none, or nothing where it has the host's.
Result<std::optional<Namespace>> NamespaceOf(const grpc::Spec& spec);

class Network : public std::enable_shared_from_this<Network> {
 public:
  // Attaches the interfaces that the pod's namespace has now; no namespace is the host's network. All or nothing;
  // an interface that cannot be attached is an error that names it.
  static Result<std::shared_ptr<Network>> Create(const asio::any_io_executor& executor, NetworkOptions options,
                                                 std::optional<Namespace> pod);
  ~Network();

  // For VmSpec, once: the cards that the VM starts with, and the namespace for the VMM (not valid: where we are).
  std::vector<hypervisor::NetworkDevice> TakeDevices() { return std::move(devices_); }
  Result<UniqueFd> VmmNamespace() const;

  // The VM runs and the agent answers: from now on the guest's network follows the pod's.
  void Follow(std::weak_ptr<hypervisor::Hypervisor> vm, std::shared_ptr<AgentClient> agent);
  // Brings the guest to where the namespace is now: plugs in what came, takes out what left, tells the agent. For the
  // moment before a container is made. An interface that cannot be attached is an error.
  asio::awaitable<Result<>> Settle();
  // The end: takes back what was made on the host. The VMM must have ended, or be about to.
  void End();

 private:
  // One network card of the guest.
  struct Card {
    std::string id;
    std::optional<Attachment> attachment;  // none: a tap that somebody else has made
    std::string told;                      // what the agent was told last, or empty
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
  netlink::Owned<nl_sock> socket_;         // for questions and changes, in pod_
  asio::posix::stream_descriptor events_;  // tells that something has changed in pod_
  std::vector<hypervisor::NetworkDevice> devices_;
  std::map<int, Card> cards_;           // by the number of their interface
  std::map<int, std::string> refused_;  // interfaces that could not be attached, and why
  std::set<std::string> warned_;        // what is unsupported or lost, and has been said
  std::string told_routes_;
  std::string told_neighbors_;
  int next_id_ = 0;
  std::weak_ptr<hypervisor::Hypervisor> fake_vm_;
  std::shared_ptr<AgentClient> agent_;
  Lock lock_;  // one Reconcile at a time
  bool ended_ = false;
};

}  // namespace kata::sandbox::network
