// SPDX-License-Identifier: Apache-2.0
// What the sandbox process and the one that started it say to each other.
#pragma once

namespace kata::sandbox {

// The descriptors that LaunchSandbox gives.
inline constexpr int kDirectoryFd = 3;
inline constexpr int kReadyFd = 4;
inline constexpr int kNetworkNamespaceFd = 5;  // where the options say so

// The one byte that means "the sockets answer"; anything else is the text of an error.
inline constexpr char kReady = '\x06';

}  // namespace kata::sandbox
