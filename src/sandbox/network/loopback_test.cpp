// SPDX-License-Identifier: Apache-2.0
// Uses a real namespace and the kernel's loopback; needs root.
#include "sandbox/network/loopback.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/files.h"

namespace kata::sandbox::network {
namespace {

class LoopbackTest : public testing::Test {
 protected:
  LoopbackTest() : pod_(Namespace::New()) {
    EXPECT_TRUE(pod_);
    EXPECT_TRUE(pod_->Do([]() -> Result<> {
      const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ifreq request{};
      request.ifr_name[0] = 'l';
      request.ifr_name[1] = 'o';
      request.ifr_flags = IFF_UP;
      if (ioctl(any.get(), SIOCSIFFLAGS, &request) != 0) return FailErrno("cannot set lo up");
      // A local address outside the loopback networks.
      auto* address = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
      address->sin_family = AF_INET;
      inet_pton(AF_INET, "10.9.9.9", &address->sin_addr);
      std::copy_n("lo:1", 5, request.ifr_name);
      if (ioctl(any.get(), SIOCSIFADDR, &request) != 0) return FailErrno("cannot add an address");
      return {};
    }));
  }

  // Connects in the namespace; the error has the errno.
  Result<UniqueFd> Connect(const char* address, uint16_t port) const {
    return pod_->Do([&]() -> Result<UniqueFd> {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      const bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
      EXPECT_TRUE(is_v4 || inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) << address;
      UniqueFd fd(socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const auto* where = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
      if (connect(fd.get(), where, is_v4 ? sizeof v4 : sizeof v6) != 0) return FailErrno("connect");
      return fd;
    });
  }

  Result<Namespace> pod_;
};

TEST_F(LoopbackTest, EveryPortOfBothFamiliesIsCaught) {
  const auto caught = CatchLoopback(*pod_);
  ASSERT_TRUE(caught) << caught.error().message();
  for (const char* address : {"127.0.0.1", "127.8.9.10", "::1"}) {
    for (const uint16_t port : {1, 80, 65535}) {
      const auto client = Connect(address, port);
      ASSERT_TRUE(client) << address << " " << port << ": " << client.error().message();
      const UniqueFd server(accept4(caught->listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      ASSERT_TRUE(server);
      sockaddr_in6 local{};
      socklen_t size = sizeof local;
      ASSERT_EQ(getsockname(server.get(), reinterpret_cast<sockaddr*>(&local), &size), 0);
      EXPECT_EQ(ntohs(local.sin6_port), port);
    }
  }
}

TEST_F(LoopbackTest, NothingElseIs) {
  const auto caught = CatchLoopback(*pod_);
  ASSERT_TRUE(caught) << caught.error().message();
  EXPECT_EQ(Connect("10.9.9.9", 80).error().sys(), ECONNREFUSED);
}

TEST_F(LoopbackTest, TheHookGoesWithItsOwner) {
  {
    const auto caught = CatchLoopback(*pod_);
    ASSERT_TRUE(caught) << caught.error().message();
    EXPECT_TRUE(Connect("127.0.0.1", 80));
  }
  EXPECT_EQ(Connect("127.0.0.1", 80).error().sys(), ECONNREFUSED);
}

TEST_F(LoopbackTest, TheHostsIsLeftAlone) {
  auto host = Namespace::Open("/proc/1/ns/net");
  if (!host) host = Namespace::Open("/proc/self/ns/net");  // where process 1 may not be looked at
  ASSERT_TRUE(host);
  const auto caught = CatchLoopback(*host);
  ASSERT_FALSE(caught);
  EXPECT_EQ(caught.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace kata::sandbox::network
