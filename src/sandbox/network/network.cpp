// SPDX-License-Identifier: Apache-2.0
// Makes and removes a sandbox's network. follow.cpp has the changes in between.
#include "sandbox/network/network.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/user_namespace.h"
#include "sandbox/network/tap.h"
#include "sandbox/network/way_in.h"

namespace kata::sandbox::network {
namespace {

// A socket that is readable when links, addresses or routes of the current network namespace change.
Result<UniqueFd> Events() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (!socket || bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return FailErrno("cannot listen for changes of the pod's network");
  }
  return socket;
}

}  // namespace

NetworkOptions OptionsOf(const config::Config& config, std::string sandbox, uint32_t vcpus, HostNetwork host_network) {
  constexpr uint32_t kMostQueues = 64;  // the limit of network_queues
  const auto& hypervisor = config.hypervisor;
  NetworkOptions options;
  options.attach.sandbox = std::move(sandbox);
  options.attach.model = ModelOf(config.runtime.internetworking_model);
  options.attach.queues = std::min(hypervisor.network_queues != 0 ? hypervisor.network_queues : vcpus, kMostQueues);
  options.attach.vhost = !hypervisor.disable_vhost_net;
  options.attach.rx_rate = hypervisor.rx_rate_limiter_max_rate;
  options.attach.tx_rate = hypervisor.tx_rate_limiter_max_rate;
  options.attach.way_in = !IsHostsRoot();
  options.host_network = host_network;
  options.dan_conf = config.runtime.dan_conf;
  options.vmm_stays_out = config.runtime.disable_new_netns;
  return options;
}

Result<std::optional<Namespace>> NamespaceOf(const grpc::Spec& spec) {
  for (const grpc::LinuxNamespace& ns : spec.linux().namespaces()) {
    if (ns.type() != "network") continue;
    if (ns.path().empty()) return TRY(Namespace::New());
    return TRY(Context(Namespace::Open(ns.path()), "linux.namespaces: cannot open the network namespace"));
  }
  return std::nullopt;
}

Network::Network(const asio::any_io_executor& executor, NetworkOptions options)
    : executor_(executor), options_(std::move(options)), events_(executor), lock_(executor) {}

Network::~Network() { End(); }

Result<std::shared_ptr<Network>> Network::Create(const asio::any_io_executor& executor, NetworkOptions options,
                                                 std::optional<Namespace> pod) {
  auto network = std::shared_ptr<Network>(new Network(executor, std::move(options)));
  const bool hosts = !pod || TRY(pod->IsHosts());
  if (auto dan = TRY(LoadDan(network->options_.dan_conf, network->options_.attach.sandbox))) {
    TRY(Context(network->OpenDanTaps(*dan), "the sandbox's file in {}", network->options_.dan_conf));
    if (!hosts) network->pod_ = std::move(pod);
    return network;
  }
  if (network->options_.attach.model == Model::kNone) {
    if (!hosts) network->pod_ = std::move(pod);
    return network;
  }
  if (hosts) {
    if (network->options_.host_network == HostNetwork::kLoopbackOnly) {
      // The VMM gets no network either. An empty namespace costs less than a millisecond.
      network->pod_ = TRY(Namespace::New());
      return network;
    }
    return Fail(Code::kInvalidArgument,
                "the pod wants the host's network, which a VM cannot share: give it a network of its own");
  }
  network->pod_ = std::move(pod);
  TRY(network->AttachAll());
  return network;
}

Result<> Network::AttachAll() {
  // Opened before the first look, so that no later change is missed.
  UniqueFd events = TRY(pod_->Do(Events));
  events_.assign(events.Release());
  socket_ = TRY(pod_->Do([] { return netlink::Connect(); }));
  const PodNetwork now = TRY(Look());
  if (!now.unsupported.empty()) return Fail(Code::kUnimplemented, "{}", now.unsupported.front());
  for (const PodInterface& interface : now.interfaces) devices_.push_back(TRY(AddCard(interface)));
  return {};
}

Result<> Network::OpenDanTaps(const Dan& dan) {
  std::optional<Namespace> where;
  if (!dan.netns.empty()) where = TRY(Context(Namespace::Open(dan.netns), "netns"));
  for (size_t i = 0; i < dan.taps.size(); ++i) {
    const auto open = [&] { return OpenTap(dan.taps[i].tap, dan.taps[i].queues); };
    hypervisor::NetworkDevice device;
    device.taps = TRY(where ? where->Do(open) : open());
    device.id = fmt::format("net{}", next_id_++);
    device.mac = dan.taps[i].mac;
    if (options_.attach.vhost) device.vhost = OpenVhost(device.taps.size());
    cards_[dan.network.interfaces[i].index] = {.id = device.id, .attachment = std::nullopt, .told = ""};
    devices_.push_back(std::move(device));
  }
  dan_ = dan.network;
  return {};
}

Result<hypervisor::NetworkDevice> Network::AddCard(const PodInterface& interface) {
  if (cards_.size() >= kMaxInterfaces) {
    return Fail(Code::kResourceExhausted, "network interface {}: a pod can have {} of them", interface.config.name(),
                kMaxInterfaces);
  }
  Attached attached = TRY(Attach(*pod_, socket_.get(), interface, options_.attach));
  attached.device.id = fmt::format("net{}", next_id_++);
  cards_[interface.index] = {.id = attached.device.id, .attachment = std::move(attached.attachment), .told = ""};
  return std::move(attached.device);
}

Result<PodNetwork> Network::Look() const {
  if (dan_) return *dan_;
  PodNetwork now = TRY(Scan(socket_.get()));
  for (const auto& [index, card] : cards_) {
    const PodInterface* interface = now.Find(index);
    if (interface == nullptr || !card.attachment || card.attachment->led.empty()) continue;
    const auto tap = netlink::LinkByName(socket_.get(), TapName(index));
    if (tap) AddWayBack(*interface, tap->get(), now);
    break;  // there is one address for all, and a pod has one such tap
  }
  TRY(pod_->Do([&]() -> Result<> {
    for (PodInterface& interface : now.interfaces) {
      interface.config.set_ipv6_disabled(Ipv6Disabled(interface.config.name()));
    }
    return {};
  }));
  return now;
}

std::vector<std::string> Network::KernelParameters() const {
  std::vector<std::string> words;
  if (!pod_ || dan_) return words;
  bool any = false;
  const auto read = pod_->Do([&]() -> Result<> {
    // In this order: "all" changes the other two.
    for (const char* name : {"all", "default", "lo"}) {
      const bool disabled = Ipv6Disabled(name);
      any |= disabled;
      words.push_back(fmt::format("sysctl.net.ipv6.conf.{}.disable_ipv6={}", name, disabled ? 1 : 0));
    }
    return {};
  });
  if (!read || !any) words.clear();
  return words;
}

Result<UniqueFd> Network::VmmNamespace() const {
  if (!pod_ || options_.vmm_stays_out) return UniqueFd();
  return pod_->Duplicate();
}

void Network::End() {
  if (std::exchange(ended_, true)) return;
  devices_.clear();
  if (events_.is_open()) events_.close();
  for (const auto& [index, card] : cards_) {
    if (!card.attachment) continue;
    if (auto detached = Detach(socket_.get(), *card.attachment); !detached) {
      log::Warn("{}", detached.error().message());
    }
  }
  cards_.clear();
}

}  // namespace kata::sandbox::network
