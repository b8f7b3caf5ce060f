// SPDX-License-Identifier: Apache-2.0
// Plugs and unplugs network cards: the netdev and the device.
#pragma once

#include <memory>
#include <string>

#include "hypervisor/hypervisor.h"
#include "hypervisor/qemu/hotplug.h"

namespace kata::hypervisor::qemu {

// As Hypervisor::AddNetworkDevice and RemoveNetworkDevice.
asio::awaitable<Result<>> PlugNic(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, NetworkDevice device);
asio::awaitable<Result<>> UnplugNic(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, std::string id);

}  // namespace kata::hypervisor::qemu
