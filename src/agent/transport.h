// SPDX-License-Identifier: Apache-2.0
// The transports over which the host reaches the agent: a virtio-serial port, a vsock, or, for tests, a unix socket.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>

#include "agent/container/container.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/guest_contract.h"
#include "rpc/server.h"

namespace kata::agent {

// The address at which the agent serves.
struct Address {
  enum class Kind { kSerial, kVsock, kUnix };
  Kind kind = Kind::kVsock;
  std::string path;                           // kSerial: the device, kUnix: the socket
  uint32_t port = contract::kAgentVsockPort;  // kVsock
};

// Parses "vsock://-1:PORT" or "unix:///PATH". kInvalidArgument: anything else.
Result<Address> ParseAddress(const std::string& text);

// Chooses the address when none was configured: the virtio-serial port contract::kAgentPortName if there is one, else
// vsock. Waits up to 30 s for either device to appear. kUnavailable: neither has appeared.
asio::awaitable<Result<Address>> FindAddress(asio::any_io_executor executor);

// The device node, such as "/dev/vport0p1", of the virtio-serial port called name. ports is a directory such as
// /sys/class/virtio-ports. nullopt: there is no such port (yet).
std::optional<std::string> FindSerialPort(const std::string& ports, const std::string& name);

// The device of a serial address, from which containers must be kept away; nullopt for other addresses.
std::optional<ProtectedDevice> DeviceOf(const Address& address);

// Whether a vsock peer with this CID and port may command the agent: it must be the host (CID 2), from a port below
// contract::kFirstUnprivilegedVsockPort. The check of the CID keeps out containers of the guest; the check of the port
// keeps out unprivileged users of the host.
bool MayCommand(uint32_t cid, uint32_t port);

// Decides whether the peer of an accepted socket may command the agent.
using PeerRule = std::function<bool(int socket)>;

// Accepts connections on listener and serves one at a time. A connection is closed unread if may_command refuses its
// peer, or if another connection is alive. Does not return. table must outlive all connections.
asio::awaitable<Error> ServeControl(asio::any_io_executor executor, UniqueFd listener, PeerRule may_command,
                                    const rpc::MethodTable& table);

// Serves connections at address for ever. Returns only with an error, such as an address that cannot be opened. table
// must outlive all connections.
asio::awaitable<Error> ServeAddress(asio::any_io_executor executor, Address address, const rpc::MethodTable& table);

}  // namespace kata::agent
