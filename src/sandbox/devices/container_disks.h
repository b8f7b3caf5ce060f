// SPDX-License-Identifier: Apache-2.0
// The disks of one container: for its rootfs, volumes and device nodes. They are claimed while the VM boots, and
// plugged when it is ready.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/disks.h"

namespace kata::sandbox {

// A file system of the host for the guest to mount.
struct DiskMount {
  std::string field;                 // its name for messages: "mounts[2].source"
  std::string path;                  // of the block device or image, on the host
  std::string type;                  // "ext4"
  std::vector<std::string> options;  // for the guest's mount(2), without ro and rw
  bool read_only = false;
};

// A block device of the host for the container.
struct DiskNode {
  std::string field;
  std::string path;  // in the container
  DeviceNumber number;
  bool read_only = false;
};

// Collects the disks of one container, plugs them, and releases them. Not thread-safe.
class ContainerDisks {
 public:
  // container: its id. allowed: false with disable_block_device_use.
  ContainerDisks(std::shared_ptr<Disks> disks, std::string container, bool allowed)
      : disks_(std::move(disks)), container_(std::move(container)), allowed_(allowed) {}

  bool allowed() const { return allowed_; }
  bool empty() const { return uses_.empty(); }

  // Claims a disk and adds a storage to the request. Returns the storage's mount point in the guest.
  // kFailedPrecondition: disks are not allowed. Other errors: Disks::Claim's.
  Result<std::string> AddMount(DiskMount mount, grpc::CreateContainerRequest& request);
  // Claims a disk and adds a device to the request. linux.devices and the device rules keep the host's numbers; the
  // agent replaces them. Returns a placeholder as the source for a mount that binds the guest's node; the agent
  // replaces that, too. Errors: as AddMount's.
  Result<std::string> AddNode(DiskNode node, grpc::CreateContainerRequest& request);
  // As Disks::HostHas.
  Result<bool> HostHas(DeviceNumber number) const { return disks_->HostHas(number); }
  // The host's numbers of the devices that AddNode has added.
  const std::vector<DeviceNumber>& nodes() const { return nodes_; }

  // Plugs all claimed disks and puts their addresses in the guest into the request. The VM must be ready.
  asio::awaitable<Result<>> Plug(grpc::CreateContainerRequest& request);
  // Adds the field and the path on the host to an error of the agent that is about one of these storages.
  Error Explain(Error error) const;
  // Releases all disks. The guest must no longer use them.
  asio::awaitable<void> Release();

 private:
  struct Use {
    std::string disk;  // key
    std::string field;
    std::string path;         // on the host; storages only
    int index = 0;            // in the request's storages or devices
    std::string mount_point;  // in the guest; empty: a device
  };
  Result<> Allow(const std::string& path) const;

  std::shared_ptr<Disks> disks_;
  std::string container_;
  bool allowed_;
  std::vector<Use> uses_;
  std::vector<DeviceNumber> nodes_;
};

}  // namespace kata::sandbox
