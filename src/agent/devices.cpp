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

Result<> RenumberDevices(const std::vector<GuestNumbers>& numbers, grpc::Spec& spec) {
  // All old numbers are read before any is changed: a new one may be another's old one.
  struct Change {
    int64_t major;
    int64_t minor;
    const GuestNumbers* now;
    grpc::LinuxDevice* device;
  };
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
  for (auto& rule : *spec.mutable_linux()->mutable_resources()->mutable_devices()) {
    if (rule.type() != "b") continue;
    for (const Change& change : changes) {
      if ((rule.major)() != change.major || (rule.minor)() != change.minor) continue;
      rule.set_major(change.now->major);
      rule.set_minor(change.now->minor);
      break;
    }
  }
  return {};
}

asio::awaitable<Result<>> AddDevices(asio::any_io_executor executor, Devices devices, grpc::Spec& spec,
                                     std::chrono::seconds limit) {
  std::vector<GuestNumbers> numbers;
  for (const grpc::Device& device : devices) {
    // Where both are there, vm_path is what the host guesses that the disk will be called.
    std::string address = device.id().empty() ? device.vm_path() : device.id();
    auto disk = co_await WaitForDisk(executor, device.type(), std::move(address), limit);
    CO_TRY_ASSIGN(auto found, Context(std::move(disk), "device {}", device.container_path()));
    numbers.push_back({device.container_path(), found.major, found.minor});
  }
  if (numbers.empty()) co_return Result<>();
  co_return RenumberDevices(numbers, spec);
}

}  // namespace kata::agent
