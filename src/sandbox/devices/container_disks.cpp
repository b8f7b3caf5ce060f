// SPDX-License-Identifier: Apache-2.0
#include "sandbox/devices/container_disks.h"

#include <cctype>
#include <utility>

#include "protocol/guest_contract.h"

namespace kata::sandbox {
namespace {}  // namespace

Result<> ContainerDisks::Allow(const std::string& path) const {
  if (allowed_) return {};
  return Fail(Code::kFailedPrecondition,
              "{} is a block device, and disable_block_device_use keeps disks out of the guest", path);
}

Result<std::string> ContainerDisks::AddMount(DiskMount mount, grpc::CreateContainerRequest& request) {
  TRY(Context(Allow(mount.path), "{}", mount.field));
  const ClaimedDisk disk = TRY(Context(disks_->Claim(mount.path, mount.read_only), "{}", mount.field));
  Use& use = uses_.emplace_back();
  use.disk = disk.key;
  use.field = std::move(mount.field);
  use.path = std::move(mount.path);
  use.index = request.storages_size();
  use.mount_point = fmt::format("{}/{}-{}", contract::kDisksDir, container_, uses_.size());
  grpc::Storage& storage = *request.add_storages();
  storage.set_fstype(mount.type);
  storage.set_mount_point(use.mount_point);
  for (const std::string& option : mount.options) storage.add_options(option);
  // If another container writes to the disk, the guest's file system is writable, and only the bind is read-only.
  if (disk.read_only) storage.add_options("ro");
  return use.mount_point;
}

Result<std::string> ContainerDisks::AddNode(DiskNode node, grpc::CreateContainerRequest& request) {
  const std::string field = fmt::format("{} ({})", node.field, node.path);
  TRY(Context(Allow(node.path), "{}", field));
  const ClaimedDisk disk = TRY(Context(disks_->Claim(node.number, node.read_only), "{}", field));
  Use& use = uses_.emplace_back();
  use.disk = disk.key;
  use.field = field;
  use.index = request.devices_size();
  grpc::Device& device = *request.add_devices();
  device.set_container_path(node.path);
  // A placeholder, not a path: where a mount has it as its source, the agent replaces it by the disk's node.
  device.set_vm_path(fmt::format("kata-disk-{}", use.index));
  nodes_.push_back(node.number);
  return device.vm_path();
}

asio::awaitable<Result<>> ContainerDisks::Plug(grpc::CreateContainerRequest& request) {
  for (const Use& use : uses_) {
    auto plugged = co_await disks_->Plug(use.disk);
    CO_TRY_ASSIGN(const hypervisor::GuestAddress address, Context(std::move(plugged), "{}", use.field));
    if (use.mount_point.empty()) {
      grpc::Device& device = *request.mutable_devices(use.index);
      device.set_type(address.driver);
      device.set_id(address.address);
    } else {
      grpc::Storage& storage = *request.mutable_storages(use.index);
      storage.set_driver(address.driver);
      storage.set_source(address.address);
    }
  }
  co_return Result<>();
}

Error ContainerDisks::Explain(Error error) const {
  for (const Use& use : uses_) {
    const size_t at = use.mount_point.empty() ? std::string::npos : error.message().find(use.mount_point);
    if (at == std::string::npos) continue;
    // A digit follows: another mount point that begins with this one, as .../ID-10 begins with .../ID-1.
    const size_t end = at + use.mount_point.size();
    if (end < error.message().size() && std::isdigit(static_cast<unsigned char>(error.message()[end])) != 0) continue;
    error.AddContext(fmt::format("{} ({})", use.field, use.path));
    break;
  }
  return error;
}

asio::awaitable<void> ContainerDisks::Release() {
  auto uses = std::exchange(uses_, {});
  for (auto use = uses.rbegin(); use != uses.rend(); ++use) co_await disks_->Release(use->disk);
}

}  // namespace kata::sandbox
