// SPDX-License-Identifier: Apache-2.0
// The disks of a sandbox's VM: block devices and image files of the host. Each is plugged once, and the containers that
// use it are counted.
#pragma once

#include <sys/stat.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/coroutine.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "hypervisor/hypervisor.h"
#include "sandbox/host/mount_namespace.h"

namespace kata::sandbox {

namespace asio = boost::asio;

// A block device's numbers.
struct DeviceNumber {
  uint32_t major = 0;
  uint32_t minor = 0;
  auto operator<=>(const DeviceNumber&) const = default;
};

// Checks that a node of a block device is in the host's /dev. A guest can make nodes with any numbers in shared
// directories, and must not get the devices behind them. kPermissionDenied: it is elsewhere. To be called in the host's
// mount namespace.
Result<> CheckNode(const struct stat& node, const std::string& path);

// A claimed disk.
struct ClaimedDisk {
  std::string key;  // for Plug and Release; the same for all paths of one file or device
  // As requested, except that it is false if another container has the disk for writing.
  bool read_only = false;
};

// Counts, plugs and unplugs disks. A claim pins the file itself (O_PATH), since the path may lead elsewhere later. Not
// thread-safe.
class Disks : public std::enable_shared_from_this<Disks> {
 public:
  Disks(const asio::any_io_executor& executor, std::shared_ptr<hypervisor::Hypervisor> vm, MountNamespaces spaces)
      : executor_(executor), vm_(std::move(vm)), spaces_(std::move(spaces)) {}

  // Adds a user of the block device (CheckNode) or regular file at a path of the host. kInvalidArgument: it is neither,
  // or an empty file. kFailedPrecondition: another container has it read-only, and this one wants to write.
  Result<ClaimedDisk> Claim(const std::string& path, bool read_only);
  // The same for the block device of the host with these numbers. kNotFound: the host has none, or no node of it in
  // /dev.
  Result<ClaimedDisk> Claim(DeviceNumber number, bool read_only);
  // Whether the host has a block device with these numbers.
  Result<bool> HostHas(DeviceNumber number) const;

  // Plugs a claimed disk, unless it is plugged already, and returns its address in the guest. kFailedPrecondition: the
  // host or another VM uses it, or it has no medium. Other errors: Hypervisor::AddBlockDevice's.
  asio::awaitable<Result<hypervisor::GuestAddress>> Plug(std::string key);
  // Removes a user. A disk without users is unplugged. One that the guest does not release stays plugged, with a
  // warning, until the VM ends; a later Claim uses it again.
  asio::awaitable<void> Release(std::string key);

 private:
  struct Disk {
    explicit Disk(const asio::any_io_executor& executor) : lock(executor) {}
    std::string path;  // for messages
    std::string name;  // its id in the VM
    UniqueFd pin;      // O_PATH
    bool read_only = false;
    bool is_device = false;
    int users = 0;
    bool plugged = false;
    hypervisor::GuestAddress address;
    Lock lock;  // held while it is plugged or unplugged
  };
  Result<ClaimedDisk> ClaimOpened(UniqueFd pin, const std::string& path, bool read_only);
  asio::awaitable<Result<>> PlugNow(std::shared_ptr<Disk> disk);

  asio::any_io_executor executor_;
  std::shared_ptr<hypervisor::Hypervisor> vm_;
  MountNamespaces spaces_;
  std::map<std::string, std::shared_ptr<Disk>> disks_;  // by key
  uint64_t next_name_ = 0;
};

}  // namespace kata::sandbox
