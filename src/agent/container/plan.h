// SPDX-License-Identifier: Apache-2.0
// The plan that the agent hands to a fork of itself that becomes a container process (init.h), and the packets that the
// two exchange on the status socket.
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

// The descriptors that a plan carries.
enum Role : size_t {
  kStdin,  // stdio of the process; missing: /dev/null
  kStdout,
  kStderr,
  kCgroup,        // the container's cgroup directory
  kSeccomp,       // memfd with the compiled filter: written by create, read by create and exec
  kPidNamespace,  // namespaces to join; missing: a new one or the guest's, as the spec says
  kMountNamespace,
  kIpcNamespace,
  kUtsNamespace,
  kCgroupNamespace,
  kNetNamespace,
  kTimeNamespace,
  kUserNamespace,
  kRoles,
};

// The descriptor of the process's end of the status socket.
inline constexpr int kStatusFd = 3;

struct Plan {
  bool exec = false;  // join an existing container instead of making one
  bool terminal = false;
  uint32_t rows = 0;
  uint32_t columns = 0;
  CapabilitySets capabilities;
  std::string id;
  grpc::Spec spec;                // for an exec: only process and linux.personality
  std::array<int, kRoles> fds{};  // descriptor numbers in the forked process; -1: missing

  int fd(Role role) const { return fds[role]; }
};

// Types of packets on the status socket (SOCK_SEQPACKET). From the process to the agent:
enum class Say : char {
  kStarted = 'P',   // stage 2 exists: its pidfd
  kTerminal = 'T',  // the pty's master is attached
  kReady = 'R',     // the setup is done; the process waits for kGo
  kError = 'E',     // uint8 code, int32 errno, text; the last packet
  // End of stream: the process has executed its command (the socket is close-on-exec), or has died.
  kGo = 'S',  // from the agent to the process: execute the command
};

struct Packet {
  Say what = Say::kError;
  std::string text;
  UniqueFd fd;
  bool end = false;  // end of stream; no other member is set
};

// Sends one packet. text is cut at 4096 bytes. passed_fd is attached (SCM_RIGHTS) unless it is -1.
Result<> SendPacket(int socket, Say what, std::string_view text = {}, int passed_fd = -1);
// Receives one packet. Blocks, unless flags has MSG_DONTWAIT: then the error has errno EAGAIN if there is no packet.
Result<Packet> ReceivePacket(int socket, int flags = 0);

// The text of a kError packet.
std::string PackError(const Error& error);
Error UnpackError(std::string_view text);

}  // namespace kata::agent
