// SPDX-License-Identifier: Apache-2.0
// Paths of a container that nobody in it is to read (maskedPaths), or to write (readonlyPaths, a read-only root).
#pragma once

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Covers files with the guest's /dev/null and directories with an empty read-only tmpfs. Paths that do not exist are
// skipped. In the base, which has that /dev/null: the container's own could be anything (CVE-2025-31133).
Result<> MaskPaths(const grpc::Linux& linux, int root);
Result<> MakePathsReadonly(const grpc::Linux& linux, int root);

}  // namespace kata::agent
