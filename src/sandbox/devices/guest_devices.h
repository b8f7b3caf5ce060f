// SPDX-License-Identifier: Apache-2.0
// The device nodes of a spec, the rules about them and the limits of their I/O, which name devices of the host by
// number, as those of a guest.
#pragma once

#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "sandbox/devices/container_disks.h"

namespace kata::sandbox {

// Whether a guest has a character device of its own with these numbers, which mean the same in every kernel.
bool IsCharDeviceOfGuests(DeviceNumber number);

// Whether the rules of a container, whose last one counts, let it read a block device of the host, or write to it. With
// no rule for it they do not.
bool MayRead(const grpc::LinuxResources& resources, DeviceNumber number);
bool MayWrite(const grpc::LinuxResources& resources, DeviceNumber number);

// Of linux.devices, block devices become disks and what the guest has itself stays. A device that the guest cannot have
// is kInvalidArgument, unless the rules allow everything and do not name it, as for a privileged container, which has
// all devices of the host in its list: those are left out, with one warning, and so are the host's disks. A block
// device that the host has not, and that no rule names, becomes a node that cannot be opened, as with runc: whatever
// the guest has behind its numbers, TranslateRules leaves no rule for it.
Result<> TranslateDevices(ContainerDisks& disks, grpc::CreateContainerRequest& request);

// Takes the rules and limits for other devices of the host than these away, since behind their numbers may be something
// else in the guest. After TranslateDevices and MayWrite, which read them.
void TranslateRules(const std::vector<DeviceNumber>& disks, grpc::LinuxResources& resources);

}  // namespace kata::sandbox
