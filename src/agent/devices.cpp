// SPDX-License-Identifier: Apache-2.0
#include "agent/devices.h"

#include <algorithm>

#include "agent/hotplug/block_device.h"

namespace kata::agent {

Result<> CheckDevices(const Devices& devices) {
  for (const grpc::Device& device : devices) {
    if (IsDiskDriver(device.type())) continue;
    const bool passed_through = device.type().starts_with("vfio");
    return Fail(passed_through ? Code::kUnimplemented : Code::kInvalidArgument,
                "device {}: the agent has no handler for the type \"{}\"{}", device.container_path(),
                device.type().substr(0, 64), passed_through ? ": devices of the host are not passed through" : "");
  }
  return {};
}

namespace {

// All old numbers are collected before any is changed: the new number of one disk may be the old number of another.
struct Change {
  int64_t major;
  int64_t minor;
  const GuestNumbers* now;
  grpc::LinuxDevice* device;
};

template <typename Message>
void Renumber(const std::vector<Change>& changes, Message& message) {
  for (const Change& change : changes) {
    if ((message.major)() != change.major || (message.minor)() != change.minor) continue;
    message.set_major(change.now->major);
    message.set_minor(change.now->minor);
    return;
  }
}

// Makes mounts whose source is vm_path bind the disk's node. If there is such a mount, the device was only listed for
// it, and is removed from linux.devices.
void BindNode(const GuestNumbers& now, grpc::Spec& spec) {
  bool bound = false;
  for (auto& mount : *spec.mutable_mounts()) {
    if (now.source.empty() || mount.source() != now.source) continue;
    mount.set_source(now.node);
    bound = true;
  }
  auto& devices = *spec.mutable_linux()->mutable_devices();
  for (int i = devices.size() - 1; bound && i >= 0; --i) {
    if (devices[i].path() == now.path) devices.DeleteSubrange(i, 1);
  }
}

}  // namespace

Result<> RenumberDevices(const std::vector<GuestNumbers>& numbers, grpc::Spec& spec) {
  std::vector<Change> changes;
  auto& devices = *spec.mutable_linux()->mutable_devices();
  for (const GuestNumbers& now : numbers) {
    const auto device =
        std::find_if(devices.begin(), devices.end(), [&now](const auto& one) { return one.path() == now.path; });
    if (device == devices.end() || device->type() != "b") {
      return Fail(Code::kInvalidArgument, "device {}: linux.devices has no block device with this path", now.path);
    }
    changes.push_back({(device->major)(), (device->minor)(), &now, &*device});
  }
  for (const Change& change : changes) {
    change.device->set_major(change.now->major);
    change.device->set_minor(change.now->minor);
  }
  grpc::LinuxResources& resources = *spec.mutable_linux()->mutable_resources();
  for (auto& rule : *resources.mutable_devices()) {
    if (rule.type() == "b") Renumber(changes, rule);
  }
  if (resources.has_blockio()) {
    grpc::LinuxBlockIO& limits = *resources.mutable_blockio();
    for (auto& limit : *limits.mutable_weightdevice()) Renumber(changes, limit);
    for (auto* list : {limits.mutable_throttlereadbpsdevice(), limits.mutable_throttlewritebpsdevice(),
                       limits.mutable_throttlereadiopsdevice(), limits.mutable_throttlewriteiopsdevice()}) {
      for (auto& limit : *list) Renumber(changes, limit);
    }
  }
  for (const GuestNumbers& now : numbers) BindNode(now, spec);
  return {};
}

asio::awaitable<Result<>> AddDevices(asio::any_io_executor executor, Devices devices, grpc::Spec& spec,
                                     std::chrono::seconds limit) {
  std::vector<GuestNumbers> numbers;
  for (const grpc::Device& device : devices) {
    // If the message has both, id is the address, and vm_path is only the host's guess of the disk's name.
    std::string address = device.id().empty() ? device.vm_path() : device.id();
    auto disk = co_await WaitForDisk(executor, device.type(), std::move(address), limit);
    CO_TRY_ASSIGN(auto found, Context(std::move(disk), "device {}", device.container_path()));
    numbers.push_back({device.container_path(), found.major, found.minor, device.vm_path(), found.path});
  }
  if (numbers.empty()) co_return Result<>();
  co_return RenumberDevices(numbers, spec);
}

}  // namespace kata::agent
