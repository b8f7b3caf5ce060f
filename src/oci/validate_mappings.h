// SPDX-License-Identifier: Apache-2.0
// The checks of mapped ids: those of the user namespace, and those of idmapped mounts.
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

// linux.uidMappings and gidMappings: that the kernel takes them, and that there is a user namespace for them. One of a
// pod, and one that is joined by its path, may have none. kInvalidArgument.
Result<> ValidateMappings(const grpc::Spec& spec, bool of_pod);

// The mappings and the options idmap and ridmap of mounts[index]: as runc, only of a bind mount, with mappings of its
// own of both kinds or with those of the container. kInvalidArgument; kUnimplemented: crun's idmap with a value.
Result<> ValidateMappedMount(const grpc::Spec& spec, int index);

}  // namespace kata::oci
