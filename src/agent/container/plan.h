// SPDX-License-Identifier: Apache-2.0
// What the agent hands to a copy of itself that is to become a container process, and what the two say to each other
// meanwhile.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/container/capabilities.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// The descriptors of a plan, beside stdin, stdout and stderr of the agent itself.
enum Role : size_t {
  kStdin,  // the process's stdio; missing: /dev/null
  kStdout,
  kStderr,
  kCgroup,        // the container's cgroup directory
  kSeccomp,       // memfd: the compiled filter; written at create, read at exec
  kPidNamespace,  // namespaces to join; missing: as the spec says
  kMountNamespace,
  kIpcNamespace,
  kUtsNamespace,
  kCgroupNamespace,
  kNetNamespace,
  kTimeNamespace,
  kUserNamespace,
  kRoles,
};

// The stages' end of the status socket.
inline constexpr int kStatusFd = 3;

struct Plan {
  bool exec = false;  // join a container, not make one
  bool terminal = false;
  uint32_t rows = 0;
  uint32_t columns = 0;
  CapabilitySets capabilities;
  std::string id;
  grpc::Spec spec;                // of an exec: only Process
  std::array<int, kRoles> fds{};  // the stages' numbers, -1: none

  int fd(Role role) const { return fds[role]; }
};

// Packets of the status socket (SOCK_SEQPACKET). Towards the agent:
enum class Say : char {
  kStarted = 'P',   // int32 pid, with the pidfd
  kTerminal = 'T',  // with the pty's master
  kReady = 'R',     // all is made, waits for kGo
  kError = 'E',     // uint8 code, int32 errno, text; the last packet
  // end of stream: the program runs (the socket is close-on-exec), or the stage died
  kGo = 'S',  // from the agent: run the program
};

struct Packet {
  Say what = Say::kError;
  std::string text;
  UniqueFd fd;
  bool end = false;  // end of stream, nothing else is set
};

// Sends one packet, with passed_fd unless it is -1; text is cut at 4096 bytes.
Result<> SendPacket(int socket, Say what, std::string_view text = {}, int passed_fd = -1);
// Receives one; blocks unless flags has MSG_DONTWAIT (then errno EAGAIN when there is none).
Result<Packet> ReceivePacket(int socket, int flags = 0);

std::string PackError(const Error& error);
Error UnpackError(std::string_view text);

}  // namespace kata::agent
