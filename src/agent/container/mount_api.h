// SPDX-License-Identifier: Apache-2.0
// The kernel's mount calls on descriptors (open_tree, move_mount, mount_setattr, fsopen): no path of a container is
// ever resolved by a mount call, so no link or rename in it can redirect one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// A detached copy of the mount at path (below dirfd; "" is dirfd itself), with what is mounted below it if recursive.
Result<UniqueFd> CloneMount(int dirfd, const std::string& path, bool recursive);

// Attaches the detached mount on the file or directory behind target.
Result<> AttachMount(int mount, int target);

// MOUNT_ATTR_* to set and clear, and MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE (0: as it is).
Result<> SetMountAttributes(int mount, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation = 0);

// A new detached mount of a new filesystem. Each option is "flag" or "key=value"; what the filesystem says of a bad one
// is in the error. attributes are MOUNT_ATTR_*.
Result<UniqueFd> NewFilesystem(const std::string& type, const std::string& source,
                               const std::vector<std::string>& options, uint64_t attributes);

// Whether fd lies on a filesystem with this magic number (linux/magic.h).
bool IsOnFilesystem(int fd, long magic);

}  // namespace kata::agent
