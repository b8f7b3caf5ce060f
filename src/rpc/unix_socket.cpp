// SPDX-License-Identifier: Apache-2.0
#include "rpc/unix_socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/files.h"

namespace kata::rpc {
namespace {

// The address of dirfd/name through /proc/self/fd, since sun_path holds 107 bytes and the directory's path may be
// longer.
Result<sockaddr_un> AddressOf(int dirfd, const std::string& name) {
  const std::string path = fmt::format("{}/{}", FdPath(dirfd), name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Fail(Code::kInvalidArgument, "the socket's name {} is too long", name);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> NewSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return FailErrno("cannot make a unix socket");
  return fd;
}

}  // namespace

Result<UniqueFd> ListenUnix(int dirfd, const std::string& name) {
  const sockaddr_un address = TRY(AddressOf(dirfd, name));
  UniqueFd fd = TRY(NewSocket());
  if (unlinkat(dirfd, name.c_str(), 0) != 0 && errno != ENOENT) return FailErrno("cannot remove the old {}", name);
  // Before bind, so that the new file never has a wider mode, whatever the umask is.
  if (fchmod(fd.get(), 0600) != 0) return FailErrno("cannot restrict {}", name);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return FailErrno("cannot bind {}", name);
  if (fchmodat(dirfd, name.c_str(), 0600, 0) != 0) return FailErrno("cannot restrict {}", name);
  if (listen(fd.get(), SOMAXCONN) != 0) return FailErrno("cannot listen on {}", name);
  return fd;
}

Result<UniqueFd> ConnectUnix(int dirfd, const std::string& name) {
  const sockaddr_un address = TRY(AddressOf(dirfd, name));
  UniqueFd fd = TRY(NewSocket());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return FailErrno("cannot connect to {}", name);
  }
  return fd;
}

Result<UniqueFd> ConnectUnixPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return Fail(Code::kInvalidArgument, "{} is no absolute path", path);
  const UniqueFd directory = TRY(Open(path.substr(0, slash + 1), O_PATH | O_DIRECTORY));
  return ConnectUnix(directory.get(), path.substr(slash + 1));
}

Result<ucred> PeerOf(int connection) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return FailErrno("SO_PEERCRED");
  return peer;
}

}  // namespace kata::rpc
