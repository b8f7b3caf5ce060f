// SPDX-License-Identifier: Apache-2.0
// Hot-plug of PCI devices on the bridge that the VM was started with.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "hypervisor/qemu/qmp.h"

namespace kata::hypervisor::qemu {

// Knows which place (argv.h) holds which device. One object for each VM, for devices of all kinds.
class Hotplug : public std::enable_shared_from_this<Hotplug> {
 public:
  // places: the result of Places (argv.h).
  Hotplug(std::shared_ptr<Qmp> qmp, uint32_t places) : qmp_(std::move(qmp)), places_(places) {}

  // Records that a device is in a place since boot.
  void Occupy(uint32_t place, std::string device);

  // Passes a descriptor to QEMU under this name (QMP getfd), for a netdev that is added next.
  asio::awaitable<Result<>> PassFd(std::string name, UniqueFd fd);
  // Plugs a device. properties: the JSON arguments of QMP's device_add with "driver" and "id", but without "bus" and
  // "addr"; a virtio device needs "disable-legacy": "on". Returns the guest's PCI path (PlacePath in argv.h).
  // kUnimplemented: the VM has no places; kResourceExhausted: all places are in use; otherwise the errors of
  // Qmp::Execute.
  asio::awaitable<Result<std::string>> Plug(std::string properties);
  // Unplugs a device when the guest releases it. kDeadlineExceeded or kAborted: the guest does not, the device stays;
  // kFailedPrecondition: the device is in no place.
  asio::awaitable<Result<>> Unplug(std::string device);

 private:
  std::shared_ptr<Qmp> qmp_;
  uint32_t places_;
  std::map<uint32_t, std::string> taken_;  // place -> device
};

}  // namespace kata::hypervisor::qemu
