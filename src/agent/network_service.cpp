// SPDX-License-Identifier: Apache-2.0
// The ttRPC methods for the guest's network.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/method.h"
#include "agent/network/interfaces.h"
#include "agent/network/routes.h"
#include "agent/services.h"
#include "base/coroutine.h"

namespace kata::agent {

namespace {

// Returns a socket that becomes readable when an interface appears or changes.
Result<UniqueFd> LinkEvents() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!socket || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return FailErrno("cannot listen for new interfaces");
  }
  return socket;
}

// Shared by the deadline's handler and the call, since the call may end first.
struct Wait {
  Wait(const asio::any_io_executor& executor, UniqueFd socket) : events(executor, socket.Release()) {}
  asio::posix::stream_descriptor events;
  bool late = false;
};

// Waits for the interface: a hot-plugged network card may appear only after the host's call.
asio::awaitable<Result<types::Interface>> UpdateInterfaceCall(Pod& pod, grpc::UpdateInterfaceRequest request) {
  CO_TRY_ASSIGN(auto socket, LinkEvents());
  auto wait = std::make_shared<Wait>(pod.executor(), std::move(socket));
  asio::steady_timer deadline(pod.executor(), pod.options().hotplug_timeout);
  deadline.async_wait([wait](boost::system::error_code error) {
    if (error) return;
    wait->late = true;
    boost::system::error_code ignored;
    wait->events.cancel(ignored);
  });
  for (;;) {
    auto updated = UpdateInterface(request.interface());
    if (updated || updated.error().code() != Code::kNotFound || wait->late) co_return updated;
    co_await wait->events.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    std::array<char, 4096> dropped;
    while (::recv(wait->events.native_handle(), dropped.data(), dropped.size(), 0) > 0) {
    }
  }
}

Result<grpc::Routes> UpdateRoutesCall(Pod&, const grpc::UpdateRoutesRequest& request) {
  return UpdateRoutes(request.routes());
}

Result<grpc::Interfaces> ListInterfacesCall(Pod&, const grpc::ListInterfacesRequest&) { return ListInterfaces(); }

Result<grpc::Routes> ListRoutesCall(Pod&, const grpc::ListRoutesRequest&) { return ListRoutes(); }

Result<Empty> AddNeighborsCall(Pod&, const grpc::AddARPNeighborsRequest& request) {
  return Done(AddNeighbors(request.neighbors()));
}

}  // namespace

void AddNetworkMethods(rpc::MethodTable& table, Pod& pod) {
  Add(table, pod, "UpdateInterface", UpdateInterfaceCall);
  Add(table, pod, "UpdateRoutes", UpdateRoutesCall);
  Add(table, pod, "ListInterfaces", ListInterfacesCall);
  Add(table, pod, "ListRoutes", ListRoutesCall);
  Add(table, pod, "AddARPNeighbors", AddNeighborsCall);
}

}  // namespace kata::agent
