// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/agent_link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
// Must follow sys/socket.h, whose types it uses.
#include <linux/vm_sockets.h>

#include "protocol/guest_contract.h"

namespace kata::hypervisor::qemu {
namespace {

sockaddr_vm NameOf(const UniqueFd& socket) {
  sockaddr_vm address{};
  socklen_t size = sizeof address;
  EXPECT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return address;
}

TEST(AgentLinkTest, TheHostsEndHasAPrivilegedPortOfItsOwn) {
  const auto one = PrivilegedVsock();
  const auto other = PrivilegedVsock();
  ASSERT_TRUE(one) << one.error().message();
  ASSERT_TRUE(other) << other.error().message();
  EXPECT_GT(NameOf(*one).svm_port, 0U);
  EXPECT_LT(NameOf(*one).svm_port, contract::kFirstUnprivilegedVsockPort);
  EXPECT_LT(NameOf(*other).svm_port, contract::kFirstUnprivilegedVsockPort);
  EXPECT_NE(NameOf(*one).svm_port, NameOf(*other).svm_port);
}

// The agent's check relies on this: without the capability the kernel refuses to bind such a port.
TEST(AgentLinkTest, AnUnprivilegedUserCannotHaveSuchAPort) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (setresuid(kNobody, kNobody, kNobody) != 0) _exit(1);
    const auto socket = PrivilegedVsock();
    _exit(!socket && socket.error().code() == Code::kPermissionDenied ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(AgentLinkTest, WithoutVhostVsockTheAgentHasASerialPort) {
  const auto link = PrepareAgentLink("/dev/no-such-device");
  ASSERT_TRUE(link) << link.error().message();
  EXPECT_FALSE(link->vsock());
  EXPECT_TRUE(link->our_end);
  EXPECT_TRUE(link->vmm_end);
}

}  // namespace
}  // namespace kata::hypervisor::qemu
