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
#include "rpc/server.h"

namespace kata::agent {

// The name of the virtio-serial port that the host gives to the agent.
inline constexpr char kChannelName[] = "agent.channel.0";

// Where to serve.
struct Address {
  enum class Kind { kSerial, kVsock, kUnix };
  Kind kind = Kind::kVsock;
  std::string path;      // kSerial: the device, kUnix: the socket
  uint32_t port = 1024;  // kVsock
};

// "vsock://-1:1024" or "unix:///path". kInvalidArgument.
Result<Address> ParseAddress(const std::string& text);

// The address when none was given: the port of kChannelName below sysfs, or vsock when the guest has one. Devices may
// still be appearing, so it waits for them, for at most 30 s. kUnavailable.
asio::awaitable<Result<Address>> FindAddress(asio::any_io_executor executor);

// The device node of the virtio-serial port called name, "/dev/vport0p1"; nothing: not there (yet).
std::optional<std::string> FindSerialPort(const std::string& ports, const std::string& name);

// The device of a serial address, which no container may touch.
std::optional<ProtectedDevice> DeviceOf(const Address& address);

// Serves connections for ever. Returns only when it cannot.
asio::awaitable<Error> ServeAddress(asio::any_io_executor executor, Address address, const rpc::MethodTable& table);

}  // namespace kata::agent
