// SPDX-License-Identifier: Apache-2.0
// The disks of a sandbox's machine: block devices and file system images of the host, each plugged once and counted by
// the containers that use it.
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

// Whether a node of a block device is one of the host's own, in its /dev: a guest can make nodes with any numbers in
// the directories that it shares, and must not get the device behind them. kPermissionDenied. In the host's mount
// namespace.
Result<> CheckNode(const struct stat& node, const std::string& path);

// A disk that somebody has claimed.
struct ClaimedDisk {
  std::string key;  // for Plug and Release; the same for all names of one file or device
  // As it was asked for; but false for a disk that another container has already for writing.
  bool read_only = false;
};

// A claim holds the file itself: the path may lead elsewhere later.
class Disks : public std::enable_shared_from_this<Disks> {
 public:
  Disks(const asio::any_io_executor& executor, std::shared_ptr<hypervisor::Hypervisor> vm, MountNamespaces spaces)
      : executor_(executor), fake_vm_(std::move(vm)), spaces_(std::move(spaces)) {}

  // One more user for the block device (CheckNode) or regular file at a path of the host. kInvalidArgument: it is
  // neither, or empty; kFailedPrecondition: another container has it read-only and this one wants to write.
  Result<ClaimedDisk> Claim(const std::string& path, bool read_only);
  // The same for the block device of the host with these numbers. kNotFound: /dev has none.
  Result<ClaimedDisk> Claim(DeviceNumber number, bool read_only);
  // Whether the host has a block device with these numbers.
  Result<bool> HostHas(DeviceNumber number) const;

  // Plugs a claimed disk, unless it is there already; where the guest finds it. kFailedPrecondition: the host itself,
  // or another VM, uses it; else Hypervisor::AddBlockDevice's.
  asio::awaitable<Result<hypervisor::GuestAddress>> Plug(std::string key);
  // One user less; without any it is unplugged. One that the guest does not let go of stays, with a warning, until the
  // machine ends or somebody claims it again.
  asio::awaitable<void> Release(std::string key);

 private:
  struct Disk {
    explicit Disk(const asio::any_io_executor& executor) : lock(executor) {}
    std::string path;  // for people
    std::string name;  // in the VM
    UniqueFd pin;      // O_PATH
    bool read_only = false;
    bool is_device = false;
    int users = 0;
    bool plugged = false;
    hypervisor::GuestAddress address;
    Lock lock;  // of who is plugging or unplugging it
  };
  Result<ClaimedDisk> ClaimOpened(UniqueFd pin, const std::string& path, bool read_only);
  asio::awaitable<Result<>> PlugNow(std::shared_ptr<Disk> disk);

  asio::any_io_executor executor_;
  std::shared_ptr<hypervisor::Hypervisor> fake_vm_;
  MountNamespaces spaces_;
  std::map<std::string, std::shared_ptr<Disk>> disks_;  // by key
  uint64_t next_name_ = 0;
};

}  // namespace kata::sandbox
