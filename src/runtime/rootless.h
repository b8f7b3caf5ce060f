// SPDX-License-Identifier: Apache-2.0
// What differs when kata-runtime is called without the host's root: as root of a user namespace, as Podman does it for
// a user, or as a user that only asks.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"
#include "sandbox/host/cgroup.h"

namespace kata::runtime {

// The directory of the containers' state where no --root is given, by runc's rule: /run/kata, or
// $XDG_RUNTIME_DIR/kata if that variable is set and the caller is not the host's root; nor root of a user namespace
// that somebody called root has made (USER).
std::string DefaultRoot();

// Sets the sticky bit of the state's directory if it is below $XDG_RUNTIME_DIR, as runc does: what tidies up there
// leaves such a directory alone (XDG Base Directory Specification).
void KeepDefaultRoot(const std::string& root);

// What follows when the host refuses cgroups: as --rootless says; unset: by whether this is the host's root.
sandbox::CgroupUse CgroupUseOf(std::optional<bool> rootless);

// Checks that the caller's user namespace has the host's ids of linux.uidMappings and linux.gidMappings: the guest
// would find no file of such an owner. kInvalidArgument: one is missing, as in a config.json that was made outside.
Result<> CheckMappings(const grpc::Linux& linux);

}  // namespace kata::runtime
