// SPDX-License-Identifier: Apache-2.0
// As whom a VMM runs: a user of its own if there can be one, so that a VMM that is broken into can touch nothing else.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/child.h"
#include "base/result.h"
#include "base/user_namespace.h"

namespace kata::hypervisor {

// A user and a group.
struct VmmUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

// The user for the VMM of the sandbox process with this pid. On the host a number that no user has, and no other
// sandbox. In a user namespace an id above those that images use (65535), if one is mapped, else the last one that is
// mapped; several sandboxes may then have the same. 0: the namespace has root alone, who is the user itself.
Result<VmmUser> VmmUserOf(pid_t sandbox);

// The rule for a user namespace, for the ids of users or of groups: exported for its test.
uint32_t VmmIdIn(const IdMap& map, pid_t sandbox);

// The credentials for a VMM: those of the user, without groups but those that it needs to open the device. device: the
// path of the host's device for virtual machines; empty: none is needed. In a user namespace, where the groups of the
// user's that may open it cannot be named, all of the user's groups are kept if that helps, and if it does not, the VMM
// runs as the namespace's root, without capabilities.
// kInvalidArgument: on the host the user is root. kPermissionDenied: it may not open the device.
Result<Command::Credentials> VmmCredentials(const VmmUser& user, const std::string& device);

// The groups that a VMM's user needs on the host to open the kvm device: none if everyone may open it, else the
// device's group. kPermissionDenied: neither everyone nor a group other than root's may open it.
Result<std::vector<gid_t>> KvmGroups(const std::string& device);

}  // namespace kata::hypervisor
