// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/network.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "hypervisor/qemu/argv.h"

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;

// Passes the descriptors to QEMU as PREFIX0, PREFIX1 and so on. Returns the names separated by colons.
asio::awaitable<Result<std::string>> PassAll(std::shared_ptr<Hotplug> hotplug, std::string prefix,
                                             std::vector<UniqueFd> fds) {
  std::string names;
  for (size_t i = 0; i < fds.size(); ++i) {
    std::string name = fmt::format("{}{}", prefix, i);
    names += (names.empty() ? "" : ":") + name;
    CO_TRY(co_await hotplug->PassFd(std::move(name), std::move(fds[i])));
  }
  co_return names;
}

asio::awaitable<void> DeleteNetdev(std::shared_ptr<Qmp> qmp, std::string id) {
  const std::string arguments = Json{{"id", id}}.dump();
  auto deleted = co_await qmp->Execute("netdev_del", arguments);
  if (!deleted) log::Warn("network card {}: {}", id, deleted.error().message());
}

}  // namespace

asio::awaitable<Result<>> PlugNic(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, NetworkDevice device) {
  const size_t queues = device.taps.size();
  const bool vhost = !device.vhost.empty();
  CO_TRY_ASSIGN(std::string taps, co_await PassAll(hotplug, device.id + "-tap", std::move(device.taps)));
  CO_TRY_ASSIGN(std::string vhosts, co_await PassAll(hotplug, device.id + "-vhost", std::move(device.vhost)));
  Json netdev = {{"type", "tap"}, {"id", device.id}, {"fds", taps}};
  if (vhost) {
    netdev["vhost"] = true;
    netdev["vhostfds"] = vhosts;
  }
  const std::string arguments = netdev.dump();
  CO_TRY(co_await qmp->Execute("netdev_add", arguments));

  Json nic = {{"driver", "virtio-net-pci"}, {"id", NicId(device.id)}, {"netdev", device.id},
              {"mac", device.mac},          {"disable-legacy", "on"}, {"romfile", ""}};
  if (queues > 1) {
    nic["mq"] = true;
    nic["vectors"] = 2 * queues + 2;
  }
  std::string properties = nic.dump();
  auto plugged = co_await hotplug->Plug(std::move(properties));
  if (!plugged) {
    co_await DeleteNetdev(qmp, device.id);
    co_return tl::unexpected<Error>(plugged.error());
  }
  log::Debug("network card {} is plugged in at {}", device.id, *plugged);
  co_return Result<>();
}

asio::awaitable<Result<>> UnplugNic(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, std::string id) {
  std::string device = NicId(id);
  CO_TRY(co_await hotplug->Unplug(std::move(device)));
  co_await DeleteNetdev(qmp, std::move(id));
  co_return Result<>();
}

}  // namespace kata::hypervisor::qemu
