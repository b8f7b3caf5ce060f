// SPDX-License-Identifier: Apache-2.0
// Unix sockets and FIFOs, made by one mount and used by the other where there are two.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

long Bind(int fd, const std::string& path) {
  sockaddr_un address = {AF_UNIX, {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

long Connect(int fd, const std::string& path) {
  sockaddr_un address = {AF_UNIX, {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

UniqueFd Socket(int type = SOCK_STREAM) { return UniqueFd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

void ConnectFact(const std::string& name, const std::string& path, int type = SOCK_STREAM) {
  const UniqueFd fd = Socket(type);
  Call(name, Connect(fd.get(), path));
}

}  // namespace

void Sockets(const Place& place) {
  const std::string there = place.there + "/";
  const UniqueFd server = Socket();
  Call("bind", Bind(server.get(), "socket"));
  Fact("bind-look", Look("socket"));
  Fact("bind-look-there", Look(there + "socket"));
  ConnectFact("connect-before-listen", there + "socket");
  Call("listen", listen(server.get(), 8));
  {
    const UniqueFd client = Socket();
    Call("connect", Connect(client.get(), there + "socket"));
    const UniqueFd peer = Opened("accept", accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
    Call("send", send(client.get(), "hello", 5, 0));
    char text[8] = {};
    Call("receive", recv(peer.get(), text, sizeof text, MSG_DONTWAIT));
    ucred credentials = {};
    socklen_t size = sizeof credentials;
    Call("peer-credentials", getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size));
    Is("peer-credentials-pid", credentials.pid == getpid());
  }
  const UniqueFd again = Socket();
  Call("bind-existing", Bind(again.get(), there + "socket"));
  Call("chmod", chmod("socket", 0700));
  As({}, [&] { ConnectFact("connect-denied", there + "socket"); });
  Ignore(chmod("socket", 0777));
  As({}, [&] { ConnectFact("connect-allowed", there + "socket"); });
  Ignore(rename("socket", "renamed"));
  ConnectFact("connect-renamed", there + "renamed");
  ConnectFact("connect-old-name", there + "socket");
  Ignore(link("renamed", "hard"));
  ConnectFact("connect-hard-link", there + "hard");
  Ignore(symlink("renamed", "symlink"));
  ConnectFact("connect-symlink", there + "symlink");
  Ignore(unlink("renamed"));
  ConnectFact("connect-unlinked", there + "renamed");
  ConnectFact("connect-hard-link-left", there + "hard");
  Make("file");
  ConnectFact("connect-to-file", there + "file");
  ConnectFact("connect-missing", there + "missing");
  ConnectFact("connect-wrong-type", there + "hard", SOCK_DGRAM);
  {
    const UniqueFd dead = Socket();
    Ignore(Bind(dead.get(), "dead"));
    Ignore(listen(dead.get(), 1));
  }
  ConnectFact("connect-to-dead", there + "dead");
  const UniqueFd receiver = Socket(SOCK_DGRAM);
  Call("datagram-bind", Bind(receiver.get(), there + "datagram"));
  const UniqueFd sender = Socket(SOCK_DGRAM);
  Call("datagram-connect", Connect(sender.get(), "datagram"));
  Call("datagram-send", send(sender.get(), "hello", 5, 0));
  char text[8] = {};
  Call("datagram-receive", recv(receiver.get(), text, sizeof text, MSG_DONTWAIT));

  // A daemon's restart: the old name goes, a new one comes, and those who connect meet the new one.
  const UniqueFd restarted = Socket();
  Ignore(unlink("hard"));
  Call("restart-bind", Bind(restarted.get(), there + "hard"));
  Ignore(listen(restarted.get(), 1));
  ConnectFact("restart-connect", "hard");
  Opened("restart-accept", accept4(restarted.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

void Fifos(const Place& place) {
  const std::string there = place.there + "/";
  Call("mkfifo", mkfifo("fifo", 0666));
  Fact("look", Look("fifo"));
  Fact("look-there", Look(there + "fifo"));
  Opened("write-without-reader", open((there + "fifo").c_str(), O_WRONLY | O_NONBLOCK));
  {
    const UniqueFd reader = Opened("read-nonblock", open("fifo", O_RDONLY | O_NONBLOCK));
    const UniqueFd writer = Opened("write-with-reader", open((there + "fifo").c_str(), O_WRONLY | O_NONBLOCK));
    Call("write", Write(writer.get(), "through"));
    char text[16] = {};
    Call("read", read(reader.get(), text, sizeof text));
    Call("read-empty", read(reader.get(), text, sizeof text));
  }
  {
    const UniqueFd both = Opened("rdwr", open("fifo", O_RDWR | O_NONBLOCK));
    Call("rdwr-write", Write(both.get(), "x"));
    char byte = 0;
    Call("rdwr-read", read(both.get(), &byte, 1));
    Call("rdwr-fsync", fsync(both.get()));
    Call("rdwr-lseek", lseek(both.get(), 0, SEEK_SET));
  }
  // Two processes that wait for one another in open.
  {
    Steps steps;
    const pid_t pid = fork();
    if (pid == 0) {
      steps.Child();
      alarm(5);
      const UniqueFd writer(open((there + "fifo").c_str(), O_WRONLY));
      Ignore(Write(writer.get(), "from the child"));
      _exit(0);
    }
    steps.Parent();
    // Non-blocking, then waiting for what comes: a writer that never meets this reader does not hang it.
    const UniqueFd reader(open("fifo", O_RDONLY | O_NONBLOCK));
    pollfd wait = {reader.get(), POLLIN, 0};
    const int ready = poll(&wait, 1, 2000);
    char text[32] = {};
    const ssize_t size = ready == 1 ? read(reader.get(), text, sizeof text) : -1;
    Fact("between-processes", size > 0 ? std::string(text, size) : "nothing");
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  As({}, [&] { Opened("user-opens", open((there + "fifo").c_str(), O_RDWR | O_NONBLOCK)); });
  Ignore(chmod("fifo", 0600));
  As({}, [&] { Opened("user-denied", open((there + "fifo").c_str(), O_RDWR | O_NONBLOCK)); });
  Ignore(rename("fifo", "renamed"));
  Opened("renamed", open((there + "renamed").c_str(), O_RDWR | O_NONBLOCK));
  Opened("old-name", open((there + "fifo").c_str(), O_RDWR | O_NONBLOCK));
}

}  // namespace kata::files
