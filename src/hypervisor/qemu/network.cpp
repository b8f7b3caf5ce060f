// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/network.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "hypervisor/qemu/argv.h"

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;

std::vector<std::string> Names(const std::string& prefix, size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(fmt::format("{}{}", prefix, i));
  return names;
}

// Passes each descriptor to QEMU under its name.
asio::awaitable<Result<>> PassAll(std::shared_ptr<Hotplug> hotplug, std::vector<std::string> names,
                                  std::vector<UniqueFd> fds) {
  for (size_t i = 0; i < fds.size(); ++i) CO_TRY(co_await hotplug->PassFd(std::move(names[i]), std::move(fds[i])));
  co_return Result<>();
}

// Closes what no netdev has taken. QEMU knows a name no more once a netdev has taken its descriptor.
asio::awaitable<void> CloseAll(std::shared_ptr<Qmp> qmp, std::vector<std::string> names) {
  for (const std::string& name : names) {
    const std::string arguments = Json{{"fdname", name}}.dump();
    (void)co_await qmp->Execute("closefd", arguments);
  }
}

asio::awaitable<Result<>> AddNetdev(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, NetworkDevice device) {
  auto taps = Names(device.id + "-tap", device.taps.size());
  auto vhosts = Names(device.id + "-vhost", device.vhost.size());
  Json netdev = {{"type", "tap"}, {"id", device.id}, {"fds", fmt::format("{}", fmt::join(taps, ":"))}};
  if (!vhosts.empty()) {
    netdev["vhost"] = true;
    netdev["vhostfds"] = fmt::format("{}", fmt::join(vhosts, ":"));
  }
  auto added = co_await PassAll(hotplug, taps, std::move(device.taps));
  if (added) added = co_await PassAll(hotplug, vhosts, std::move(device.vhost));
  if (added) {
    const std::string arguments = netdev.dump();
    if (auto answer = co_await qmp->Execute("netdev_add", arguments); !answer) {
      added = tl::unexpected<Error>(std::move(answer).error());
    }
  }
  if (!added) {
    co_await CloseAll(qmp, std::move(taps));
    co_await CloseAll(qmp, std::move(vhosts));
  }
  co_return added;
}

asio::awaitable<void> DeleteNetdev(std::shared_ptr<Qmp> qmp, std::string id) {
  const std::string arguments = Json{{"id", id}}.dump();
  auto deleted = co_await qmp->Execute("netdev_del", arguments);
  if (!deleted) log::Warn("network card {}: {}", id, deleted.error().message());
}

}  // namespace

asio::awaitable<Result<>> PlugNic(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, NetworkDevice device) {
  const size_t queues = device.taps.size();
  Json nic = {{"driver", "virtio-net-pci"}, {"id", NicId(device.id)}, {"netdev", device.id},
              {"mac", device.mac},          {"disable-legacy", "on"}, {"romfile", ""}};
  if (queues > 1) {
    nic["mq"] = true;
    nic["vectors"] = 2 * queues + 2;
  }
  std::string id = device.id;
  CO_TRY(co_await AddNetdev(qmp, hotplug, std::move(device)));
  std::string properties = nic.dump();
  auto plugged = co_await hotplug->Plug(std::move(properties));
  if (!plugged) {
    co_await DeleteNetdev(qmp, std::move(id));
    co_return tl::unexpected<Error>(plugged.error());
  }
  log::Debug("network card {} is plugged in at {}", id, *plugged);
  co_return Result<>();
}

asio::awaitable<Result<>> UnplugNic(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, std::string id) {
  std::string device = NicId(id);
  CO_TRY(co_await hotplug->Unplug(std::move(device)));
  co_await DeleteNetdev(qmp, std::move(id));
  co_return Result<>();
}

}  // namespace kata::hypervisor::qemu
