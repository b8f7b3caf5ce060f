// SPDX-License-Identifier: Apache-2.0
// Translates a spec's device nodes, device rules and I/O limits to the guest. They name devices of the host by number.
#pragma once

#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/container_disks.h"

namespace kata::sandbox {

// Whether the guest's kernel has a character device with these numbers, which mean the same in every kernel.
bool IsCharDeviceOfGuests(DeviceNumber number);

// Whether a container's device rules let it read, or write to, a block device of the host. The last matching rule
// counts. Without a matching rule access is denied.
bool MayRead(const grpc::LinuxResources& resources, DeviceNumber number);
bool MayWrite(const grpc::LinuxResources& resources, DeviceNumber number);

// Translates linux.devices. Block devices become disks; devices that the guest has itself stay. kInvalidArgument: a
// device that the guest cannot have.
//
// Rules that allow everything mean a privileged container, whose list has all devices of the host. Then the host's
// disks and the devices that the guest cannot have are left out, with one warning, unless a rule names them.
//
// A block device that the host does not have, and that no rule names, stays as a node that cannot be opened, as with
// runc: TranslateRules leaves no rule for its numbers, whatever the guest has behind them.
Result<> TranslateDevices(ContainerDisks& disks, grpc::CreateContainerRequest& request);

// Removes rules and I/O limits for devices of the host other than `disks`: in the guest their numbers may mean
// something else. To be called after TranslateDevices and MayWrite, which read the rules.
void TranslateRules(const std::vector<DeviceNumber>& disks, grpc::LinuxResources& resources);

}  // namespace kata::sandbox
