// SPDX-License-Identifier: Apache-2.0
// What the sandbox process and kata-runtime, which starts it, agree on.
#pragma once

namespace kata::sandbox {

// Numbers of the descriptors that LaunchSandbox passes on.
inline constexpr int kDirectoryFd = 3;
inline constexpr int kReadyFd = 4;
inline constexpr int kNetworkNamespaceFd = 5;  // only with SandboxOptions::network_namespace

// The one byte, written to kReadyFd, that means "the sockets answer". Anything else is the text of an error.
inline constexpr char kReady = '\x06';

}  // namespace kata::sandbox
