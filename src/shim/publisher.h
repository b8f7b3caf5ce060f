// SPDX-License-Identifier: Apache-2.0
// Sends events to containerd, in order, over its ttRPC socket (service Events), also across restarts of containerd.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include "base/coroutine.h"
#include "protocol/forward.pb.h"
#include "rpc/client.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/task/task_events.h"

namespace kata::shim {

namespace asio = boost::asio;

// Queues events that containerd has not accepted yet. When kMaxWaiting events are queued, one is dropped with a
// warning: the oldest OOM event, else the oldest event other than an exit, else the new one. Exits are never dropped,
// so that they can exceed the limit. With an empty address events are only logged. Not thread-safe.
class Publisher : public std::enable_shared_from_this<Publisher> {
 public:
  static constexpr size_t kMaxWaiting = 4096;

  // address: a path, with or without "unix://". It is resolved in the host's mount namespace.
  Publisher(const asio::any_io_executor& executor, std::string address, std::string namespace_name,
            sandbox::MountNamespaces mounts);

  // Queues an event with the current time.
  void Publish(sandbox::TaskEvent event);
  // Returns when all queued events are delivered, or after timeout.
  asio::awaitable<void> Flush(std::chrono::milliseconds timeout);

 private:
  bool MakeRoom(const std::string& topic);
  static asio::awaitable<void> Deliver(std::shared_ptr<Publisher> self);
  asio::awaitable<Result<>> Forward(containerd::services::events::ttrpc::v1::ForwardRequest request);

  asio::any_io_executor executor_;
  std::string address_;
  std::string namespace_name_;
  sandbox::MountNamespaces mounts_;
  std::deque<containerd::services::events::ttrpc::v1::ForwardRequest> waiting_;
  std::shared_ptr<rpc::Client> client_;
  bool delivering_ = false;
  Event empty_;  // happens when the queue becomes empty; replaced after each time
};

}  // namespace kata::shim
