// SPDX-License-Identifier: Apache-2.0
// Protects paths of a container: maskedPaths against reading and writing, readonlyPaths against writing.
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Both resolve the paths inside root and skip those that do not exist.

// Covers each file of linux.maskedPaths with /dev/null, and each directory with an empty read-only tmpfs. Must be
// called in the base (base_root.h), whose /dev/null is the guest's: the container's own could be any file
// (CVE-2025-31133).
Result<> MaskPaths(const grpc::Linux& linux, int root);
// Covers each path of linux.readonlyPaths with a read-only bind mount of itself.
Result<> MakePathsReadonly(const grpc::Linux& linux, int root);

}  // namespace kata::agent
