// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/agent_link.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/coroutine.h"
#include "base/files.h"
#include "protocol/guest_contract.h"

namespace kata::hypervisor::qemu {
namespace {

constexpr int kCidAttempts = 1000;
// VHOST_VSOCK_SET_GUEST_CID of linux/vhost.h, which does not compile as C++.
constexpr unsigned long kSetGuestCid = _IOW(0xAF, 0x60, uint64_t);

// CIDs are unique on the host. The kernel arbitrates: setting a CID that is in use fails with EADDRINUSE.
Result<uint32_t> TakeCid(int vhost) {
  for (int i = 0; i < kCidAttempts; ++i) {
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return FailErrno("getrandom");
    const uint64_t cid = VMADDR_CID_HOST + 1 + random % (VMADDR_CID_ANY - VMADDR_CID_HOST - 1);
    if (ioctl(vhost, kSetGuestCid, &cid) == 0) return static_cast<uint32_t>(cid);
    if (errno != EADDRINUSE) return FailErrno("cannot set a guest's CID on /dev/vhost-vsock");
  }
  return Fail(Code::kResourceExhausted, "found no free CID for vsock in {} attempts", kCidAttempts);
}

// Makes one attempt to connect. ConnectVsock decides by the errno whether to retry.
asio::awaitable<Result<UniqueFd>> ConnectOnce(asio::any_io_executor executor, sockaddr_vm address) {
  CO_TRY_ASSIGN(UniqueFd fd, PrivilegedVsock());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) co_return fd;
  if (errno != EINPROGRESS) co_return FailErrno("connect");
  asio::posix::stream_descriptor stream(executor, fd.get());
  const auto [wait_error] = co_await stream.async_wait(asio::posix::stream_descriptor::wait_write, kAwait);
  stream.release();
  if (wait_error) co_return Fail(Code::kCancelled, "{}", wait_error.message());
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) co_return FailErrno("getsockopt SO_ERROR");
  if (error != 0) co_return FailWith(error, "connect");
  co_return fd;
}

}  // namespace

Result<UniqueFd> PrivilegedVsock() {
  UniqueFd fd(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return FailErrno("cannot make a vsock socket");
  // Each port can be bound once on the host. The search starts at a random port, so that sandboxes that start at the
  // same time do not all try the same ports.
  constexpr uint32_t kPorts = contract::kFirstUnprivilegedVsockPort - 1;
  uint32_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return FailErrno("getrandom");
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  for (uint32_t i = 0; i < kPorts; ++i) {
    address.svm_port = 1 + (random % kPorts + i) % kPorts;
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    if (errno != EADDRINUSE) return FailErrno("cannot bind to a vsock port below {}", kPorts + 1);
  }
  return Fail(Code::kResourceExhausted, "all vsock ports below {} are in use", kPorts + 1);
}

Result<AgentLink> PrepareAgentLink(const std::string& vhost_vsock) {
  AgentLink link;
  link.vmm_end.Reset(open(vhost_vsock.c_str(), O_RDWR | O_CLOEXEC));
  // The agent refuses connections from other ports, so without a privileged port vsock is not used.
  const bool privileged = link.vmm_end && PrivilegedVsock();
  if (link.vmm_end && privileged) {
    link.cid = TRY(TakeCid(link.vmm_end.get()));
    return link;
  }
  // A user may lack the right to it.
  if (!link.vmm_end && errno != ENOENT && errno != ENODEV && errno != ENXIO && errno != EACCES && errno != EPERM)
    return FailErrno("cannot open {}", vhost_vsock);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return FailErrno("cannot make a socket pair");
  link.our_end.Reset(pair[0]);
  link.vmm_end.Reset(pair[1]);
  return link;
}

asio::awaitable<Result<UniqueFd>> ConnectVsock(asio::any_io_executor executor, uint32_t cid, uint32_t port,
                                               std::chrono::milliseconds pause, Patience patience,
                                               std::function<bool()> stop) {
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = cid;
  address.svm_port = port;
  asio::steady_timer timer(executor);
  while (true) {
    if (stop()) co_return Fail(Code::kUnavailable, "the VM ended before its agent could be reached");
    auto fd = co_await ConnectOnce(executor, address);
    if (fd) co_return fd;
    const int sys = fd.error().sys();
    // An attempt times out before the guest's driver is loaded, and is reset before the agent listens.
    const bool early = sys == ECONNRESET || sys == ETIMEDOUT || sys == ECONNREFUSED || sys == EHOSTUNREACH ||
                       sys == ENETUNREACH || sys == ENODEV;
    if (!early) co_return Context(std::move(fd), "cannot reach the agent at vsock {}:{}", cid, port);
    if (patience.Next().count() == 0) {
      co_return Fail(Code::kDeadlineExceeded, "the agent did not listen at vsock {}:{} {}: {}", cid, port,
                     patience.Text(), fd.error().message());
    }
    timer.expires_after(pause);
    co_await timer.async_wait(kAwait);
  }
}

}  // namespace kata::hypervisor::qemu
