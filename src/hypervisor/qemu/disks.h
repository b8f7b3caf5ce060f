// SPDX-License-Identifier: Apache-2.0
// Disks that are plugged into a VM: virtio-blk, or SCSI on a controller that is plugged with the first disk.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "config/config.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/qemu/hotplug.h"

namespace kata::hypervisor::qemu {

// The disks of one VM. settings must outlive this object, and this object its calls. Calls for different disks may
// overlap.
class Disks {
 public:
  Disks(std::shared_ptr<Qmp> qmp, std::shared_ptr<Hotplug> hotplug, const config::HypervisorConfig& settings)
      : qmp_(std::move(qmp)), hotplug_(std::move(hotplug)), settings_(settings) {}

  // As Hypervisor::AddBlockDevice and RemoveBlockDevice.
  asio::awaitable<Result<GuestAddress>> Add(BlockDevice device);
  asio::awaitable<Result<>> Remove(std::string id);

 private:
  struct Disk {
    uint32_t number = 0;  // part of QEMU's ids for the disk: the caller's id may be too long for QEMU
    uint64_t file = 0;    // QEMU's fdset id of the open file
    bool has_file = false;
    bool node = false;    // the block node exists in QEMU
    bool device = false;  // the device is plugged
    bool busy = true;     // a call is adding or removing the disk
    std::string Node() const { return fmt::format("file{}", number); }
    std::string Device() const { return fmt::format("disk{}", number); }
  };
  asio::awaitable<Result<std::string>> Plug(Disk& disk, const BlockDevice& device, bool is_file);
  asio::awaitable<Result<>> PlugController();
  asio::awaitable<Result<>> MakeThread();
  asio::awaitable<Result<>> TakeBack(Disk& disk);
  asio::awaitable<Result<std::string>> Execute(const char* command, nlohmann::json arguments, int fd = -1);
  bool scsi() const { return settings_.block_device_driver == "virtio-scsi"; }

  std::shared_ptr<Qmp> qmp_;
  std::shared_ptr<Hotplug> hotplug_;
  const config::HypervisorConfig& settings_;
  std::map<std::string, Disk> disks_;  // by the caller's id
  bool controller_ = false;
  bool thread_ = false;
};

// Arguments of QMP commands: blockdev-add of the file that QEMU knows as file_name, device_add of the disk, and
// device_add of the SCSI controller. Pure functions, declared here for tests.
nlohmann::json BlockNode(const config::HypervisorConfig& settings, const std::string& node,
                         const std::string& file_name, bool is_file, bool read_only);
nlohmann::json DiskProperties(const config::HypervisorConfig& settings, const std::string& device,
                              const std::string& node, uint32_t number);
nlohmann::json ControllerProperties(const config::HypervisorConfig& settings);

}  // namespace kata::hypervisor::qemu
