// SPDX-License-Identifier: Apache-2.0
// Where a shim listens: containerd's formula, so that `start` of another container of the pod finds it again.
#pragma once

#include <string>

namespace kata::shim {

// The directory of shims' sockets, unless containerd says another.
inline constexpr char kSocketDirectory[] = "/run/containerd/s";

// The path DIRECTORY/HEX; HEX is the SHA-256 of ADDRESS/NAMESPACE/ID, ADDRESS being containerd's own socket.
std::string SocketPath(const std::string& directory, const std::string& containerd_address,
                       const std::string& namespace_name, const std::string& id);

}  // namespace kata::shim
