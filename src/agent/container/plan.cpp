// SPDX-License-Identifier: Apache-2.0
#include "agent/container/plan.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace kata::agent {

namespace {

constexpr size_t kMaxText = 4096;

}  // namespace

Result<> SendPacket(int socket, Say what, std::string_view text, int passed_fd) {
  char type = static_cast<char>(what);
  text = text.substr(0, kMaxText);
  std::array<iovec, 2> parts{iovec{&type, 1}, iovec{const_cast<char*>(text.data()), text.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (passed_fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &passed_fd, sizeof passed_fd);
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return FailErrno("cannot send on the status socket");
  }
  return {};
}

Result<Packet> ReceivePacket(int socket, int flags) {
  std::array<char, kMaxText + 1> data;
  iovec part{data.data(), data.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t count = 0;
  do {
    count = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  // ECONNRESET: the process was killed before it had read all packets. This counts as end of stream.
  if (count < 0 && errno != ECONNRESET) return FailErrno("cannot receive on the status socket");
  Packet packet;
  packet.end = count <= 0;
  if (packet.end) return packet;
  packet.what = static_cast<Say>(data[0]);
  packet.text.assign(data.data() + 1, static_cast<size_t>(count) - 1);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      packet.fd.Reset(fd);
    }
  }
  return packet;
}

std::string PackError(const Error& error) {
  const int32_t sys = error.sys();
  std::string text(1, static_cast<char>(error.code()));
  text.append(reinterpret_cast<const char*>(&sys), sizeof sys);
  return text + error.message();
}

Error UnpackError(std::string_view text) {
  int32_t sys = 0;
  if (text.size() < 1 + sizeof sys) return {Code::kInternal, "the container's init failed without a word"};
  std::memcpy(&sys, text.data() + 1, sizeof sys);
  return {static_cast<Code>(text[0]), std::string(text.substr(1 + sizeof sys)), sys};
}

}  // namespace kata::agent
