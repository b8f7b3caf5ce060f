// SPDX-License-Identifier: Apache-2.0
#include "sandbox/task_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/files.h"
#include "rpc/server.h"

namespace kata::sandbox {
namespace {

constexpr int kStdioCount = 3;

}  // namespace

std::string StandinStdio(pid_t standin) { return fmt::format("standin:{}", standin); }

Result<std::shared_ptr<rpc::Client>> ConnectTask(const rpc::asio::any_io_executor& executor, int directory) {
  auto connection = rpc::ConnectUnix(directory, kTaskSocket);
  if (!connection)
    return Fail(Code::kUnavailable, "the sandbox process does not answer: {}", connection.error().message());
  return rpc::Client::Create(executor, *std::move(connection));
}

Result<UniqueFd> ConnectStandin(int directory) {
  UniqueFd connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!connection) return FailErrno("cannot make a socket");
  sockaddr_un address{.sun_family = AF_UNIX};
  // By way of the descriptor: ROOT may be longer than sun_path.
  std::string path = fmt::format("{}/{}", FdPath(directory), kStandinSocket);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return Fail(Code::kUnavailable, "cannot connect to {}: {}", kStandinSocket, ErrnoText(errno));
  }
  return connection;
}

Result<> SendHello(int connection, pid_t standin, const std::string& container, const std::string& exec_id,
                   const int (&stdio)[3]) {
  std::string text = fmt::format("H {} {}", standin, container);
  if (!exec_id.empty()) text += " " + exec_id;

  UniqueFd null;
  int descriptors[kStdioCount];
  for (int i = 0; i < kStdioCount; ++i) {
    if (stdio[i] < 0 && !null) null = TRY(Open("/dev/null", O_RDWR | O_CLOEXEC));
    descriptors[i] = stdio[i] < 0 ? null.get() : stdio[i];
  }

  iovec data{.iov_base = text.data(), .iov_len = text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(descriptors))] = {};
  msghdr message{.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(descriptors));
  std::memcpy(CMSG_DATA(header), descriptors, sizeof(descriptors));
  ssize_t sent;
  do sent = sendmsg(connection, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return FailErrno("cannot hand the stdio to the sandbox process");
  return {};
}

}  // namespace kata::sandbox
