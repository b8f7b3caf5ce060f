// SPDX-License-Identifier: Apache-2.0
// Name queries of containers whose engine runs a name server inside of the pod's network namespace, at an address of
// its loopback, as Docker does for the names of other containers. The guest has a loopback of its own: queries that
// arrive there are asked in the pod's namespace.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>

#include "base/coroutine.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/name_frames.h"
#include "sandbox/network/namespace.h"
#include "sandbox/sandbox.h"

namespace kata::sandbox {

// Docker's server. Other addresses of the loopback may be those of servers that run in a container.
inline constexpr char kEngineNameServer[] = "127.0.0.11";
inline constexpr uint16_t kNamePort = 53;

// Does nothing for a container whose resolv.conf, as it is now, does not name that server. Otherwise the guest has it
// from then on for all of its containers, as long as this one lives, unless it has it already. For the moment before
// the container's process starts. Errors: those of reading the file, and the agent's.
asio::awaitable<Result<>> ForwardNames(std::shared_ptr<Sandbox> sandbox, std::shared_ptr<Container> container);

// ForwardNames for one of the containers that run, after the one that had it has been removed. Errors are logged.
asio::awaitable<void> HandOverNames(std::shared_ptr<Sandbox> sandbox);

// Carries queries that come from `link`, a stream of protocol/name_frames.h, to a server in a network namespace, and
// its answers back, until the stream ends. All that comes from the link is the guest's. At most 64 queries at a time,
// for at most 20 s each; more get no answer.
class NameRelay : public std::enable_shared_from_this<NameRelay> {
 public:
  // link: a stream socket that nobody else has. space: must exist as long as the relay; keeper: what it belongs to.
  NameRelay(const asio::any_io_executor& executor, UniqueFd link, const network::Namespace& space,
            std::shared_ptr<const void> keeper);
  static asio::awaitable<void> Run(std::shared_ptr<NameRelay> self);
  // Ends Run.
  void End();

 private:
  static asio::awaitable<void> Serve(std::shared_ptr<NameRelay> self, contract::NameFrame frame, std::string query);
  asio::awaitable<Result<std::string>> Ask(bool tcp, std::string query) const;

  asio::any_io_executor executor_;
  asio::posix::stream_descriptor link_;
  const network::Namespace& space_;
  std::shared_ptr<const void> keeper_;
  Lock writing_;
  size_t queries_ = 0;
};

}  // namespace kata::sandbox
