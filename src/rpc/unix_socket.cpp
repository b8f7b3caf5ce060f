// SPDX-License-Identifier: Apache-2.0
// Unix sockets in a directory: listening, connecting, and serving the peers that are allowed to connect.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "base/accept.h"
#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"
#include "rpc/server.h"

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

bool PeerAllowed(int fd) {
  const auto peer = PeerOf(fd);
  return peer && (peer->uid == 0 || peer->uid == geteuid());
}

asio::awaitable<void> ServeOne(UniqueFd fd, const MethodTable& table) {
  const auto executor = co_await asio::this_coro::executor;
  auto connection = Connection::Create(executor, std::move(fd));
  const Error end = co_await Serve(connection, table);
  log::Debug("a client has gone: {}", end.message());
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

asio::awaitable<void> ServeUnix(UniqueFd listener, const MethodTable& table) {
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor acceptor(executor, listener.Release());
  while (UniqueFd peer = co_await AcceptNext(acceptor, SOCK_CLOEXEC | SOCK_NONBLOCK)) {
    if (!PeerAllowed(peer.get())) {
      log::Warn("refused a client of another user");
      continue;
    }
    asio::co_spawn(executor, ServeOne(std::move(peer), table), asio::detached);
  }
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
