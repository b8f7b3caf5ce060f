// SPDX-License-Identifier: Apache-2.0
// Port forwarding for managers that connect to localhost in the pod's network namespace on the host, as containerd's
// CRI plugin does. Each connection is carried to the same port of the guest's loopback.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/result.h"
#include "sandbox/network/loopback.h"
#include "sandbox/sandbox.h"

namespace kata::sandbox {

class PortForward {
 public:
  // Starts forwarding. The destructor of the returned object ends it for new connections. Errors: CatchLoopback's.
  static Result<std::unique_ptr<PortForward>> Start(std::shared_ptr<Sandbox> sandbox, const network::Namespace& pod);
  ~PortForward();

 private:
  struct Shared;
  explicit PortForward(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  static asio::awaitable<void> Accept(std::shared_ptr<Shared> shared);
  static asio::awaitable<void> Carry(std::shared_ptr<Shared> shared, UniqueFd connection, uint16_t port);
  static asio::awaitable<Result<>> CarryAll(std::shared_ptr<Shared> shared, int connection, uint16_t port);

  std::shared_ptr<Shared> shared_;
};

}  // namespace kata::sandbox
