// SPDX-License-Identifier: Apache-2.0
#include "sandbox/task/task_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/files.h"
#include "rpc/unix_socket.h"
#include "sandbox/record/directory.h"

namespace kata::sandbox {

std::string StandinStdio(pid_t standin, pid_t foreground) {
  return foreground > 0 ? fmt::format("standin:{}:{}", standin, foreground) : fmt::format("standin:{}", standin);
}

Result<UniqueFd> ConnectTask(int directory) {
  auto connection = rpc::ConnectUnix(directory, kTaskSocket);
  if (!connection)
    return Fail(Code::kUnavailable, "the sandbox process does not answer: {}", connection.error().message());
  return connection;
}

Result<UniqueFd> ConnectStandin(int directory) {
  UniqueFd connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!connection) return FailErrno("cannot make a socket");
  sockaddr_un address{.sun_family = AF_UNIX};
  // The path leads through the descriptor, since ROOT may be longer than sun_path.
  std::string path = fmt::format("{}/{}", FdPath(directory), kStandinSocket);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return Fail(Code::kUnavailable, "cannot connect to {}: {}", kStandinSocket, ErrnoText(errno));
  }
  return connection;
}

}  // namespace kata::sandbox
