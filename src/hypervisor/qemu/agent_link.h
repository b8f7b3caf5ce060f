// SPDX-License-Identifier: Apache-2.0
// The agent's transport (docs/hypervisor.md): vhost-vsock where the host has it, else a virtio-serial port.
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

// Made before QEMU starts.
struct AgentLink {
  UniqueFd vmm_end;  // for QEMU: one end of a socket pair, or /dev/vhost-vsock with the guest's CID set on it
  UniqueFd our_end;  // the other end of the pair; not valid with vsock
  uint32_t cid = 0;  // the guest's, with vsock
  bool vsock() const { return cid != 0; }
};

// A vsock socket bound to a port that takes CAP_NET_BIND_SERVICE, by which the agent knows the host's runtime from
// other users of the host. kPermissionDenied; kResourceExhausted: the host has no free one, of 1023.
Result<UniqueFd> PrivilegedVsock();

// Opens vhost_vsock and takes a free CID, or makes a socket pair when there is no such device, or no privileged port.
Result<AgentLink> PrepareAgentLink(const std::string& vhost_vsock = "/dev/vhost-vsock");

// Connects to port of the guest cid, from a privileged port, trying again every pause until it listens.
// kDeadlineExceeded when patience is at its end, kUnavailable as soon as stop answers true.
asio::awaitable<Result<UniqueFd>> ConnectVsock(asio::any_io_executor executor, uint32_t cid, uint32_t port,
                                               std::chrono::milliseconds pause, Patience patience,
                                               std::function<bool()> stop);

}  // namespace kata::hypervisor::qemu
