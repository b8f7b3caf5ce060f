// SPDX-License-Identifier: Apache-2.0
// Unix sockets (SOCK_STREAM): listening, connecting, and who the peer is.
#pragma once

#include <sys/socket.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::rpc {

// Creates a listening unix socket at dirfd/name with mode 0600. Replaces an existing file of that name.
Result<UniqueFd> ListenUnix(int dirfd, const std::string& name);
// Connects to the socket dirfd/name; may block. The path of dirfd may be longer than sun_path allows, since the address
// is /proc/self/fd/N/name. kInvalidArgument: name is too long.
Result<UniqueFd> ConnectUnix(int dirfd, const std::string& name);
// As ConnectUnix, for a trusted absolute path.
Result<UniqueFd> ConnectUnixPath(const std::string& path);

// The credentials of the peer (SO_PEERCRED, unix(7)). On an accepted connection these are of the process that called
// connect(2); on a connected socket, of the one that called listen(2).
Result<ucred> PeerOf(int connection);

}  // namespace kata::rpc
