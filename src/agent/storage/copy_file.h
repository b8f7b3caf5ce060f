// SPDX-License-Identifier: Apache-2.0
// CopyFile: the host copies files, directories and symbolic links into the guest, files in pieces.
#pragma once

#include "agent/storage/guest_dir.h"
#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Makes one directory or link, or stores one piece of a file, below root. file_mode & S_IFMT is the type (0: a regular
// file); data is the content of the piece, or the target of a link. Pieces go to a temporary file beside the path. With
// the last piece that file gets its owner and mode and is renamed to the path. Missing parent directories are made.
// kOutOfRange: a piece before this one is missing. kInvalidArgument: another type, or a malformed request.
Result<> CopyFile(const GuestDir& root, const grpc::CopyFileRequest& request);

}  // namespace kata::agent
