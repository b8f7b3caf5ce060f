// SPDX-License-Identifier: Apache-2.0
// The connection to the agent (docs/hypervisor.md): vhost-vsock if the host has it, else a virtio-serial port.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "base/patience.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::hypervisor::qemu {

namespace asio = boost::asio;

// The descriptors of the connection, prepared before QEMU starts.
struct AgentLink {
  UniqueFd vmm_end;  // for QEMU: one end of a socket pair, or /dev/vhost-vsock with the guest's CID set
  UniqueFd our_end;  // the other end of the socket pair; invalid with vsock
  uint32_t cid = 0;  // the guest's CID with vsock; 0 with virtio-serial
  bool vsock() const { return cid != 0; }
};

// A non-blocking vsock socket bound to a port below 1024, which needs CAP_NET_BIND_SERVICE: by the port the agent tells
// the runtime from other users of the host. kPermissionDenied; kResourceExhausted: all 1023 ports are in use.
Result<UniqueFd> PrivilegedVsock();

// Opens vhost_vsock and takes a free CID. Without the device or a privileged port, makes a socket pair instead.
Result<AgentLink> PrepareAgentLink(const std::string& vhost_vsock = "/dev/vhost-vsock");

// Connects from a privileged port to this port of the guest; retries after each pause until the guest listens.
// kDeadlineExceeded: patience timed out; kUnavailable: stop returned true.
asio::awaitable<Result<UniqueFd>> ConnectVsock(asio::any_io_executor executor, uint32_t cid, uint32_t port,
                                               std::chrono::milliseconds pause, Patience patience,
                                               std::function<bool()> stop);

}  // namespace kata::hypervisor::qemu
