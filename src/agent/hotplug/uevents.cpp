// SPDX-License-Identifier: Apache-2.0
#include "agent/hotplug/uevents.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

#include "base/coroutine.h"
#include "base/unique_fd.h"

namespace kata::agent {

namespace {

// The multicast group of the kernel's own events (lib/kobject_uevent.c); udev's events have another group.
constexpr unsigned kKernelGroup = 1;

Result<UniqueFd> Listen() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kKernelGroup;
  if (!socket || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return FailErrno("cannot listen for devices");
  }
  return socket;
}

// Shared by the deadline's handler and the call, since the call may end first.
struct Wait {
  Wait(const asio::any_io_executor& executor, UniqueFd socket) : events(executor, socket.Release()) {}
  asio::posix::stream_descriptor events;
  bool late = false;
};

}  // namespace

asio::awaitable<Result<>> LookUntilFound(asio::any_io_executor executor, std::chrono::seconds limit,
                                         std::function<Result<>()> look) {
  auto first = look();
  if (first || first.error().code() != Code::kNotFound) co_return first;
  CO_TRY_ASSIGN(auto socket, Listen());
  auto wait = std::make_shared<Wait>(executor, std::move(socket));
  asio::steady_timer deadline(executor, limit);
  deadline.async_wait([wait](boost::system::error_code error) {
    if (error) return;
    wait->late = true;
    wait->events.cancel(error);
  });
  for (;;) {
    auto found = look();
    if (found || found.error().code() != Code::kNotFound) co_return found;
    if (wait->late) co_return Context(std::move(found), "after {} s", limit.count());
    co_await wait->events.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    // The content of the events does not matter, since look() finds everything that has appeared. ENOBUFS means that
    // events were lost, and counts as an event, too.
    std::array<char, 4096> dropped;
    while (::recv(wait->events.native_handle(), dropped.data(), dropped.size(), 0) > 0 || errno == ENOBUFS) {
    }
  }
}

}  // namespace kata::agent
