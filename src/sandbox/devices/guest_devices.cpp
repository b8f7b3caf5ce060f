// SPDX-License-Identifier: Apache-2.0
#include "sandbox/devices/guest_devices.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"

namespace kata::sandbox {
namespace {

constexpr int64_t kAny = -1;

// Devices of the guest's kernel with numbers that are fixed in Linux (Documentation/admin-guide/devices.txt).
struct Known {
  int64_t major;
  int64_t minor;
};
constexpr Known kCharDevices[] = {{1, 3},        // null
                                  {1, 5},        // zero
                                  {1, 7},        // full
                                  {1, 8},        // random
                                  {1, 9},        // urandom
                                  {1, 11},       // kmsg
                                  {5, 0},        // tty
                                  {5, 1},        // console
                                  {5, 2},        // ptmx
                                  {10, 183},     // hwrng
                                  {10, 200},     // net/tun
                                  {10, 229},     // fuse
                                  {10, 236},     // mapper/control
                                  {10, 237},     // loop-control
                                  {136, kAny}};  // pts

bool KnowsChar(int64_t major, int64_t minor) {
  return std::any_of(std::begin(kCharDevices), std::end(kCharDevices), [&](const Known& known) {
    return major == known.major && (minor == known.minor || minor == kAny || known.minor == kAny);
  });
}

bool IsForAll(const grpc::LinuxDeviceCgroup& rule) {
  const bool all = rule.type().empty() || rule.type() == "a";
  return rule.allow() && all && rule.access().find('w') != std::string::npos;
}

// For all messages with device numbers, which have 64 bits there.
template <typename Message>
DeviceNumber NumberOf(const Message& message) {
  return {static_cast<uint32_t>((message.major)()), static_cast<uint32_t>((message.minor)())};
}

bool Names(const grpc::LinuxDeviceCgroup& rule, const grpc::LinuxDevice& device) {
  const std::string type = device.type() == "u" ? "c" : device.type();
  return rule.allow() && rule.type() == type && (rule.major)() == (device.major)() &&
         (rule.minor)() == (device.minor)();
}

bool Contains(const std::vector<DeviceNumber>& nodes, DeviceNumber number) {
  return std::find(nodes.begin(), nodes.end(), number) != nodes.end();
}

// Whether a rule means the same in the guest, or will when the agent has replaced its numbers.
bool HoldsInGuest(const grpc::LinuxDeviceCgroup& rule, const std::vector<DeviceNumber>& disks) {
  if (rule.type() != "b" && rule.type() != "c") return true;
  if ((rule.major)() == kAny) return (rule.minor)() == kAny;
  if (rule.type() == "c") return KnowsChar((rule.major)(), (rule.minor)());
  return Contains(disks, NumberOf(rule));
}

template <typename List, typename Keep>
int KeepOnly(List& list, Keep keep) {
  const auto end = std::stable_partition(list.begin(), list.end(), keep);
  const int dropped = static_cast<int>(list.end() - end);
  list.DeleteSubrange(list.size() - dropped, dropped);
  return dropped;
}

void TranslateLimits(const std::vector<DeviceNumber>& disks, grpc::LinuxBlockIO& limits) {
  const auto is_disk = [&](const auto& limit) { return Contains(disks, NumberOf(limit)); };
  const int dropped = KeepOnly(*limits.mutable_weightdevice(), is_disk) +
                      KeepOnly(*limits.mutable_throttlereadbpsdevice(), is_disk) +
                      KeepOnly(*limits.mutable_throttlewritebpsdevice(), is_disk) +
                      KeepOnly(*limits.mutable_throttlereadiopsdevice(), is_disk) +
                      KeepOnly(*limits.mutable_throttlewriteiopsdevice(), is_disk);
  if (dropped == 0) return;
  log::Warn("linux.resources.blockIO: {} limits are for devices of the host that the guest has not, and have no effect",
            dropped);
}

}  // namespace

bool IsCharDeviceOfGuests(DeviceNumber number) { return KnowsChar(number.major, number.minor); }

namespace {

bool MayAccess(const grpc::LinuxResources& resources, DeviceNumber number, char access) {
  bool may = false;
  for (const grpc::LinuxDeviceCgroup& rule : resources.devices()) {
    const bool all = rule.type().empty() || rule.type() == "a";
    const auto matches = [](int64_t wanted, uint32_t is) { return wanted == kAny || wanted == is; };
    const bool meant =
        all || (rule.type() == "b" && matches((rule.major)(), number.major) && matches((rule.minor)(), number.minor));
    if (meant && rule.access().find(access) != std::string::npos) may = rule.allow();
  }
  return may;
}

}  // namespace

bool MayRead(const grpc::LinuxResources& resources, DeviceNumber number) { return MayAccess(resources, number, 'r'); }

bool MayWrite(const grpc::LinuxResources& resources, DeviceNumber number) { return MayAccess(resources, number, 'w'); }

Result<> TranslateDevices(ContainerDisks& disks, grpc::CreateContainerRequest& request) {
  if (!request.oci().has_linux()) return {};
  grpc::Linux& section = *request.mutable_oci()->mutable_linux();
  const grpc::LinuxResources& resources = section.resources();
  const auto& rules = resources.devices();
  const bool privileged = std::any_of(rules.begin(), rules.end(), IsForAll);
  std::vector<std::string> left_out;
  grpc::Linux kept;
  for (int i = 0; i < section.devices_size(); ++i) {
    grpc::LinuxDevice& device = *section.mutable_devices(i);
    const DeviceNumber number = NumberOf(device);
    const bool named = std::any_of(rules.begin(), rules.end(), [&](const auto& rule) { return Names(rule, device); });
    const bool block = device.type() == "b";
    if (privileged && !named && (block || (device.type() != "p" && !IsCharDeviceOfGuests(number)))) {
      left_out.push_back(device.path());
      continue;
    }
    if (block && !MayRead(resources, number)) {
      // As with runc, the container has a node that it cannot open. The guest's kernel must not have the disk either.
      log::Warn(
          "linux.devices[{}] ({}) is a block device that no rule of linux.resources.devices lets the container read", i,
          device.path());
    } else if (block && (named || TRY(disks.HostHas(number)))) {
      DiskNode node{.field = fmt::format("linux.devices[{}]", i), .path = device.path(), .number = number};
      node.read_only = !MayWrite(resources, number);
      TRY(disks.AddNode(std::move(node), request));
    } else if (!block && device.type() != "p" && !IsCharDeviceOfGuests(number)) {
      return Fail(Code::kInvalidArgument,
                  "linux.devices[{}] ({}): the character device {}:{} is the host's, and a virtual machine has no such "
                  "device; leave it out (of privileged containers, containerd does so with "
                  "privileged_without_host_devices = true)",
                  i, device.path(), number.major, number.minor);
    }
    kept.add_devices()->Swap(&device);
  }
  section.mutable_devices()->Swap(kept.mutable_devices());
  if (!left_out.empty()) {
    log::Warn(
        "linux.devices: {} of {} devices of the host have no sense in a virtual machine and are left out, such as {}",
        left_out.size(), left_out.size() + static_cast<size_t>(section.devices_size()), left_out.front());
  }
  return {};
}

void TranslateRules(const std::vector<DeviceNumber>& disks, grpc::LinuxResources& resources) {
  KeepOnly(*resources.mutable_devices(), [&](const auto& rule) { return HoldsInGuest(rule, disks); });
  if (resources.has_blockio()) TranslateLimits(disks, *resources.mutable_blockio());
}

}  // namespace kata::sandbox
