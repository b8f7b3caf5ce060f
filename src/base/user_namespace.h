// SPDX-License-Identifier: Apache-2.0
// User namespaces (user_namespaces(7)), whose mappings idmapped mounts have as well (mount_setattr(2)).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

// The ids from inside on are those from outside on. For an idmapped mount: the ids that files have, and those that they
// are shown with.
struct IdMapping {
  uint32_t inside = 0;
  uint32_t outside = 0;
  uint32_t size = 0;
};
using IdMap = std::vector<IdMapping>;

// The pid of a process as /proc has it, which need not be the number that the caller's own pid namespace has for it.
// kNotFound: it has ended.
Result<pid_t> PidInProc(int pidfd);

// Writes the maps of the user namespace of a process, which has none yet. An error's message begins with where and the
// name of the field in a spec: "linux.uidMappings". kInvalidArgument: one of the two is empty. The kernel's EINVAL: ids
// that overlap, or too many mappings.
Result<> WriteIdMaps(int pidfd, std::string_view where, const IdMap& uids, const IdMap& gids);

// Returns a new user namespace with these mappings, without a process in it. Needs /proc, and CAP_SETUID and
// CAP_SETGID. The caller may have threads. Errors of WriteIdMaps.
Result<UniqueFd> MakeUserNamespace(std::string_view where, const IdMap& uids, const IdMap& gids);

// Whether this process is root, and not only in a user namespace that lacks some of the host's users. Needs /proc.
bool IsHostsRoot();

// kPermissionDenied, with a message for a person: this process is root neither of the host nor of a user namespace, as
// one that starts a VM has to be. It makes namespaces, mounts and taps.
Result<> RequireRoot();

// The mappings of this process's user namespace (user_namespaces(7)), as /proc/self/uid_map and gid_map have them.
Result<IdMap> OwnUids();
Result<IdMap> OwnGids();

// Whether this process's user namespace allows setgroups(2), which one does not that a user without privileges has made
// alone.
bool AllowsSetgroups();

}  // namespace kata
