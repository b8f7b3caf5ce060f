// SPDX-License-Identifier: Apache-2.0
// The guest's network follows the pod's. After each change the whole namespace is read again and compared with what the
// guest has. Changes during a comparison are handled by one more comparison, however many they are.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/coroutine.h"
#include "base/log.h"
#include "sandbox/network/network.h"

namespace kata::sandbox::network {
namespace {

// Empties the socket. The content does not matter. ENOBUFS (too many messages) is news as well.
void Drop(int events) {
  std::array<char, 32768> dropped;
  while (recv(events, dropped.data(), dropped.size(), MSG_DONTWAIT) > 0 || errno == ENOBUFS || errno == EINTR) {
  }
}

bool Has(const std::vector<int>& links, int index) {
  return std::find(links.begin(), links.end(), index) != links.end();
}

}  // namespace

void Network::Follow(std::weak_ptr<hypervisor::Hypervisor> vm, std::shared_ptr<AgentClient> agent) {
  vm_ = std::move(vm);
  agent_ = std::move(agent);
  if (events_.is_open()) asio::co_spawn(executor_, FollowEvents(shared_from_this()), asio::detached);
}

asio::awaitable<void> Network::FollowEvents(std::shared_ptr<Network> self) {
  while (self->events_.is_open()) {
    const auto [error] = co_await self->events_.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    if (error || self->ended_) co_return;
    Drop(self->events_.native_handle());
    auto reconciled = co_await self->Reconcile();
    if (!reconciled && !self->ended_) log::Warn("the pod's network has changed: {}", reconciled.error().message());
  }
}

asio::awaitable<Result<>> Network::Settle() {
  if (!agent_ || (!dan_ && !socket_)) co_return Result<>();
  auto self = shared_from_this();
  CO_TRY(co_await Reconcile());
  if (!refused_.empty()) co_return Fail(Code::kUnavailable, "{}", refused_.begin()->second);
  co_return Result<>();
}

asio::awaitable<Result<>> Network::Reconcile() {
  auto self = shared_from_this();
  const auto guard = co_await lock_.Acquire();
  if (ended_) co_return Fail(Code::kCancelled, "the sandbox is being ended");
  co_return co_await ReconcileOnce();
}

asio::awaitable<Result<>> Network::ReconcileOnce() {
  CO_TRY_ASSIGN(const PodNetwork now, Look());
  WarnOnce(now);
  co_await RemoveGone(now);
  CO_TRY(co_await PlugNew(now));
  CO_TRY(co_await TellAgent(now));
  co_return Result<>();
}

void Network::WarnOnce(const PodNetwork& now) {
  std::set<std::string> warnings(now.unsupported.begin(), now.unsupported.end());
  warnings.insert(now.losses.begin(), now.losses.end());
  for (const std::string& warning : warnings) {
    if (!warned_.contains(warning)) log::Warn("{}", warning);
  }
  warned_ = std::move(warnings);  // bounded by the present state, however often it changes
}

asio::awaitable<void> Network::RemoveGone(PodNetwork now) {
  std::erase_if(refused_, [&](const auto& entry) { return !Has(now.links, entry.first); });
  std::vector<int> gone;
  for (const auto& [index, card] : cards_) {
    if (!Has(now.links, index)) gone.push_back(index);
  }
  for (const int index : gone) {
    const auto vm = vm_.lock();
    const auto card = cards_.find(index);
    if (ended_ || !vm || card == cards_.end()) co_return;
    std::string id = card->second.id;
    const std::string name = card->second.attachment ? card->second.attachment->name : id;
    log::Info("network interface {} has left the pod", name);
    auto removed = co_await vm->RemoveNetworkDevice(std::move(id));
    if (ended_) co_return;
    if (!removed) log::Warn("network interface {} stays in the guest: {}", name, removed.error().message());
    if (const auto left = cards_.find(index); left != cards_.end()) {
      // The link has gone with its filters, and a macvtap with its parent.
      cards_.erase(left);
    }
  }
}

asio::awaitable<Result<>> Network::PlugNew(PodNetwork now) {
  for (const PodInterface& interface : now.interfaces) {
    if (cards_.contains(interface.index)) {
      auto& attachment = cards_[interface.index].attachment;
      if (!attachment) continue;
      auto renewed = Renew(socket_.get(), *attachment, interface, options_.attach);
      if (!renewed) log::Warn("network interface {}: {}", interface.config.name(), renewed.error().message());
      continue;
    }
    if (refused_.contains(interface.index)) continue;
    const auto vm = vm_.lock();
    if (!vm) co_return Fail(Code::kCancelled, "the sandbox is being ended");
    auto device = AddCard(interface);
    Result<> plugged;
    if (device) {
      log::Info("network interface {} has come into the pod", interface.config.name());
      plugged = co_await vm->AddNetworkDevice(*std::move(device));
      if (ended_) co_return Fail(Code::kCancelled, "the sandbox is being ended");
      const auto card = cards_.find(interface.index);
      if (!plugged && card != cards_.end()) {
        (void)Detach(socket_.get(), *card->second.attachment);
        cards_.erase(card);
      }
    } else {
      plugged = tl::unexpected<Error>(device.error());
    }
    if (!plugged) {
      refused_[interface.index] =
          fmt::format("network interface {}: {}", interface.config.name(), plugged.error().message());
      log::Warn("{}", refused_[interface.index]);
    }
  }
  co_return Result<>();
}

asio::awaitable<Result<>> Network::TellAgent(PodNetwork now) {
  const auto agent = agent_;
  std::vector<PodInterface> interfaces = now.interfaces;
  for (const auto& [index, card] : cards_) {
    // Scan leaves out an interface without addresses, but the guest must lose those that it had.
    PodInterface bare{.index = index};
    if (card.told.empty() || now.Find(index) != nullptr || !bare.config.ParseFromString(card.told)) continue;
    bare.config.clear_ipaddresses();
    interfaces.push_back(std::move(bare));
  }
  bool changed = false;
  for (const PodInterface& interface : interfaces) {
    const auto card = cards_.find(interface.index);
    if (card == cards_.end()) continue;
    types::Interface wanted = interface.config;
    if (card->second.attachment) wanted.set_hwaddr(card->second.attachment->mac);
    const std::string text = wanted.SerializeAsString();
    if (text == card->second.told) continue;
    card->second.told = text;
    changed = true;
    auto updated = co_await agent->UpdateInterface(std::move(wanted));
    if (!updated) {
      if (const auto again = cards_.find(interface.index); again != cards_.end()) again->second.told.clear();
      co_return Context(std::move(updated), "network interface {}: the guest", interface.config.name());
    }
  }
  // An interface whose addresses change loses its routes.
  grpc::Routes routes;
  for (const types::Route& route : now.routes) *routes.add_routes() = route;
  const std::string routes_text = routes.SerializeAsString();
  if (routes_text != told_routes_ || (changed && !now.routes.empty())) {
    told_routes_.clear();
    CO_TRY(co_await agent->UpdateRoutes(std::move(routes)));
    told_routes_ = routes_text;
  }
  grpc::ARPNeighbors neighbors;
  for (const types::ARPNeighbor& neighbor : now.neighbors) *neighbors.add_arpneighbors() = neighbor;
  const std::string neighbors_text = neighbors.SerializeAsString();
  if (!now.neighbors.empty() && (changed || neighbors_text != told_neighbors_)) {
    told_neighbors_.clear();
    CO_TRY(co_await agent->AddNeighbors(std::move(neighbors)));
    told_neighbors_ = neighbors_text;
  }
  co_return Result<>();
}

}  // namespace kata::sandbox::network
