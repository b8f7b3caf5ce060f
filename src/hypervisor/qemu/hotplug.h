// SPDX-License-Identifier: Apache-2.0
// PCI devices that come and go while the guest runs, on the bridge that the VM was started with.
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

// Knows which place holds which device. One for a VM, for devices of every kind.
class Hotplug : public std::enable_shared_from_this<Hotplug> {
 public:
  // places: Places (argv.h).
  Hotplug(std::shared_ptr<Qmp> qmp, uint32_t places) : qmp_(std::move(qmp)), places_(places) {}

  // Notes that a device is in a place from the start.
  void Occupy(uint32_t place, std::string device);

  // Gives QEMU a descriptor under this name, for a netdev or chardev that is made next.
  asio::awaitable<Result<>> PassFd(std::string name, UniqueFd fd);
  // Plugs a device in; properties is the JSON object of QMP's device_add with "driver" and "id", and without "bus" and
  // "addr"; a virtio device needs "disable-legacy": "on". Returns the guest's PCI path, "1d/02": the bridge's slot on
  // the root bus, the device's behind it. kUnimplemented: the VM has no places; kResourceExhausted: all are taken;
  // kInternal, with QEMU's words.
  asio::awaitable<Result<std::string>> Plug(std::string properties);
  // Takes a device out, with the guest's consent. kDeadlineExceeded: the guest has not given it, the device stays;
  // kFailedPrecondition: it is in no place.
  asio::awaitable<Result<>> Unplug(std::string device);

 private:
  std::shared_ptr<Qmp> qmp_;
  uint32_t places_;
  std::map<uint32_t, std::string> taken_;  // place -> device
};

}  // namespace kata::hypervisor::qemu
