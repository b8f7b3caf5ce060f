// SPDX-License-Identifier: Apache-2.0
// accept(2) for coroutines. It retries when descriptors or memory run out.
#pragma once

#include <sys/socket.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <chrono>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace kata {

// Waits for the next connection and returns it. An invalid descriptor means that the listener was closed. flags are
// those of accept4(2). The caller owns listener, and must keep it until this returns.
inline asio::awaitable<UniqueFd> AcceptNext(asio::posix::stream_descriptor& listener, int flags) {
  bool warned = false;
  while (listener.is_open()) {
    const auto [error] = co_await listener.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
    if (error || !listener.is_open()) break;
    UniqueFd connection(accept4(listener.native_handle(), nullptr, nullptr, flags));
    if (connection) co_return connection;
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) continue;
    // The connection stays in the queue and the listener stays readable: without a pause this loop would spin.
    if (!warned) log::Warn("no connection can be accepted: {}", std::generic_category().message(errno));
    warned = true;
    asio::steady_timer pause(listener.get_executor(), std::chrono::milliseconds(200));
    co_await pause.async_wait(kAwait);
  }
  co_return UniqueFd();
}

}  // namespace kata
