// SPDX-License-Identifier: Apache-2.0
// CopyFile: the host puts files, directories and links into the guest, in pieces.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Stores one piece. A file appears under its name, with its owner and mode, when its last piece has arrived; until then
// it has a name of its own. The type is that of file_mode (S_IFMT; none: a regular file); a link's target is the data.
Result<> CopyFile(const GuestDir& root, const grpc::CopyFileRequest& request);

}  // namespace kata::agent
