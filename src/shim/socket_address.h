// SPDX-License-Identifier: Apache-2.0
// Where a shim listens: containerd's formula, so that `start` of another container of the pod finds it again.
#pragma once

#include <string>

namespace kata::shim {

// The folder of shims' sockets, unless containerd says another.
inline constexpr char kSocketFolder[] = "/run/containerd/s";

// The path FOLDER/HEX; HEX is the SHA-256 of ADDRESS/NAMESPACE/ID, ADDRESS being containerd's own socket.
std::string SocketPath(const std::string& folder, const std::string& containerd_address,
                       const std::string& namespace_name, const std::string& id);

}  // namespace kata::shim
