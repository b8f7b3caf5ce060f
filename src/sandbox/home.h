// SPDX-License-Identifier: Apache-2.0
// Where a sandbox of the command line is on the host: in the directory and the cgroups of one of its containers, which
// may be removed while others go on.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/record/state.h"

namespace kata::sandbox {

// A container's directory ROOT/ID, and the record in it.
struct ContainerRecord {
  UniqueFd directory;
  State state;
};

// Opens the directory of a container that `create` has made for this sandbox, and reads its record. sandbox: the
// sandbox's own record, of which the container's gets what they have in common. kNotFound: there is no such directory.
// kInvalidArgument: the record is damaged, or another's.
Result<ContainerRecord> OpenRecord(int root, const std::string& id, const State& sandbox);

// Brings a record up to what the sandbox's says of their processes, its VM, and its failure.
void TakeCommon(const State& sandbox, State& state);

// Moves the mount point of the shared files from one container's directory to another's, and this process with all of
// its descendants to the cgroups of the other container's stand-in. A process that cannot move is logged.
Result<> MoveHome(const MountNamespaces& spaces, int from, int to, pid_t standin);

}  // namespace kata::sandbox
