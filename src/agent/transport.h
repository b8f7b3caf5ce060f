// SPDX-License-Identifier: Apache-2.0
// How the host reaches the agent: a virtio-serial port, a vsock, or a unix socket for tests.
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

// Where to serve.
struct Address {
  enum class Kind { kSerial, kVsock, kUnix };
  Kind kind = Kind::kVsock;
  std::string path;                           // kSerial: the device, kUnix: the socket
  uint32_t port = contract::kAgentVsockPort;  // kVsock
};

// "vsock://-1:1024" or "unix:///path". kInvalidArgument.
Result<Address> ParseAddress(const std::string& text);

// The address when none was given: the port of contract::kAgentPortName below sysfs, or vsock when the guest has one.
// Devices may still be appearing, so it waits for them, for at most 30 s. kUnavailable.
asio::awaitable<Result<Address>> FindAddress(asio::any_io_executor executor);

// The device node of the virtio-serial port called name, "/dev/vport0p1"; nothing: not there (yet).
std::optional<std::string> FindSerialPort(const std::string& ports, const std::string& name);

// The device of a serial address, which no container may touch.
std::optional<ProtectedDevice> DeviceOf(const Address& address);

// Whether the peer of a vsock connection may command the agent: the host, from a port that takes a privilege there.
// Without the second rule every user of the host could, and without the first every container of the guest.
bool MayCommand(uint32_t cid, uint32_t port);

// Whether the peer of an accepted socket may command.
using PeerRule = std::function<bool(int socket)>;

// Serves a listening socket, one connection at a time: one whose peer may not command, or that comes while another
// lives, is closed before a byte of it is read. Returns only when it cannot.
asio::awaitable<Error> ServeControl(asio::any_io_executor executor, UniqueFd listener, PeerRule may_command,
                                    const rpc::MethodTable& table);

// Serves connections for ever. Returns only when it cannot.
asio::awaitable<Error> ServeAddress(asio::any_io_executor executor, Address address, const rpc::MethodTable& table);

}  // namespace kata::agent
