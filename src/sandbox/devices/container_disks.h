// SPDX-License-Identifier: Apache-2.0
// What of one container is on disks: its rootfs, volumes and device nodes. Claimed while the VM boots, plugged and
// addressed when it is up.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/disks.h"

namespace kata::sandbox {

// A file system of the host's that the guest is to mount.
struct DiskMount {
  std::string field;                 // where the caller names it, for messages: "mounts[2].source"
  std::string path;                  // of the block device or image, on the host
  std::string type;                  // "ext4"
  std::vector<std::string> options;  // for the guest's mount(2), without ro and rw
  bool read_only = false;
};

// A block device of the host that the container is to have.
struct DiskNode {
  std::string field;
  std::string path;  // in the container
  DeviceNumber number;
  bool read_only = false;
};

class ContainerDisks {
 public:
  // container: its id. allowed: false with disable_block_device_use.
  ContainerDisks(std::shared_ptr<Disks> disks, std::string container, bool allowed)
      : disks_(std::move(disks)), container_(std::move(container)), allowed_(allowed) {}

  bool allowed() const { return allowed_; }
  bool empty() const { return uses_.empty(); }

  // Adds a storage to the request; returns where it will be in the guest. kFailedPrecondition: disks are not allowed;
  // else Disks::Claim's.
  Result<std::string> AddMount(DiskMount mount, grpc::CreateContainerRequest& request);
  // Adds a device to the request. linux.devices has it with the host's numbers, and so have the rules: the agent
  // replaces them. Returns the source for a mount that binds the guest's node. Errors as AddMount's.
  Result<std::string> AddNode(DiskNode node, grpc::CreateContainerRequest& request);
  // Disks::HostHas.
  Result<bool> HostHas(DeviceNumber number) const { return disks_->HostHas(number); }
  // The devices on the host of what AddNode has added.
  const std::vector<DeviceNumber>& nodes() const { return nodes_; }

  // Plugs everything, and puts the addresses into the request.
  asio::awaitable<Result<>> Plug(grpc::CreateContainerRequest& request);
  // An error of the agent; one about a storage gets the field and the path on the host in front.
  Error Explain(Error error) const;
  // Gives everything back. The guest must have let go of it.
  asio::awaitable<void> Release();

 private:
  struct Use {
    std::string disk;  // key
    std::string field;
    std::string path;         // of a storage, on the host
    int index = 0;            // in the request's storages, or devices
    std::string mount_point;  // of a storage; empty: a device
  };
  Result<> Allow(const std::string& path) const;

  std::shared_ptr<Disks> disks_;
  std::string container_;
  bool allowed_;
  std::vector<Use> uses_;
  std::vector<DeviceNumber> nodes_;
};

}  // namespace kata::sandbox
