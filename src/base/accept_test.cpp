// SPDX-License-Identifier: Apache-2.0
#include "base/accept.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <vector>

namespace kata {
namespace {

// A listening socket with an address of the kernel's choice (unix(7), autobind), and a connection to it.
std::pair<UniqueFd, UniqueFd> ListenAndConnect() {
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  socklen_t length = sizeof(sa_family_t);
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(listen(listener.get(), 4), 0);
  length = sizeof(address);
  EXPECT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  return {std::move(listener), std::move(client)};
}

TEST(AcceptNext, GoesOnWhenDescriptorsAreBack) {
  asio::io_context io(1);
  auto [listening, client] = ListenAndConnect();
  asio::posix::stream_descriptor listener(io, listening.Release());
  asio::steady_timer warm_up(io);  // makes Asio open its own descriptors before the limit is reached
  std::vector<UniqueFd> all;
  while (true) {
    UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd) break;
    all.push_back(std::move(fd));
  }
  UniqueFd accepted;
  asio::co_spawn(io, AcceptNext(listener, SOCK_CLOEXEC),
                 [&](std::exception_ptr, UniqueFd fd) { accepted = std::move(fd); });
  // Runs the first attempt, which fails, up to its pause. A busy loop would never return here.
  while (io.poll() > 0) {
  }
  EXPECT_FALSE(accepted);
  all.clear();
  io.run();
  EXPECT_TRUE(accepted);
}

TEST(AcceptNext, EndsWithTheListener) {
  asio::io_context io(1);
  auto [listening, client] = ListenAndConnect();
  asio::posix::stream_descriptor listener(io, listening.Release());
  bool ended = false;
  asio::co_spawn(io, AcceptNext(listener, SOCK_CLOEXEC), [&](std::exception_ptr, UniqueFd fd) { ended = !fd; });
  listener.close();
  io.run();
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace kata
