// SPDX-License-Identifier: Apache-2.0
// The path of a shim's socket, by containerd's formula, so that `start` of another container of the pod finds it.
#pragma once

#include <string>

namespace kata::shim {

// The default directory of shims' sockets; containerd may name another one (Bootstrap::socket_directory).
inline constexpr char kSocketDirectory[] = "/run/containerd/s";

// DIRECTORY/HEX, where HEX is the SHA-256 of ADDRESS/NAMESPACE/ID and ADDRESS is the path of containerd's socket.
std::string SocketPath(const std::string& directory, const std::string& containerd_address,
                       const std::string& namespace_name, const std::string& id);

}  // namespace kata::shim
