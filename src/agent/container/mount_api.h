// SPDX-License-Identifier: Apache-2.0
// The kernel's mount system calls that work on descriptors (open_tree, move_mount, mount_setattr, fsopen). No path of a
// container is resolved by a mount call, so no symbolic link or rename in the container can redirect a mount.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// Returns a detached copy of the mount at path, relative to dirfd ("": dirfd itself); with the mounts below it if
// recursive.
Result<UniqueFd> CloneMount(int dirfd, const std::string& path, bool recursive);

// Attaches a detached mount on top of target, a descriptor of a file or directory.
Result<> AttachMount(int mount, int target);

// Sets and clears MOUNT_ATTR_* of a mount, and of the mounts below it if recursive. propagation is MS_PRIVATE,
// MS_SLAVE, MS_SHARED or MS_UNBINDABLE; 0: unchanged.
Result<> SetMountAttributes(int mount, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation = 0);

// Makes a detached mount idmapped, and the mounts below it if recursive: a file of user 0 belongs to the one to whom
// the user namespace maps 0. EINVAL: the file system knows no idmapped mounts. EPERM: the mount is idmapped already.
Result<> MapMountIds(int mount, bool recursive, int user_namespace);

// Returns a detached mount of a new filesystem. Each option is "flag" or "key=value". attributes are MOUNT_ATTR_*. The
// filesystem's own message about a bad option is part of the error.
Result<UniqueFd> NewFilesystem(const std::string& type, const std::string& source,
                               const std::vector<std::string>& options, uint64_t attributes);

// Whether fd is on a filesystem with this magic number (linux/magic.h).
bool IsOnFilesystem(int fd, long magic);

}  // namespace kata::agent
