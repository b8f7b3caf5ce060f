// SPDX-License-Identifier: Apache-2.0
#include "agent/network/routes.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <array>
#include <vector>

#include "rtnetlink/rtnetlink.h"

namespace kata::agent {

namespace {

using netlink::Check;
using netlink::Owned;
using netlink::Text;

bool IsDefault(nl_addr* destination) {
  return destination == nullptr || (nl_addr_get_prefixlen(destination) == 0 && nl_addr_iszero(destination) != 0) ||
         nl_addr_get_len(destination) == 0;
}

// Routes that reject packets; they have no interface.
bool IsRefusal(uint32_t type) { return type == RTN_BLACKHOLE || type == RTN_UNREACHABLE || type == RTN_PROHIBIT; }

// The routes that the host manages: unicast or rejecting routes of the main table, not made by the kernel, and not IPv6
// link-local.
bool IsOurs(rtnl_route* route) {
  if (rtnl_route_get_table(route) != RT_TABLE_MAIN || rtnl_route_get_protocol(route) == RTPROT_KERNEL) return false;
  if (rtnl_route_get_type(route) != RTN_UNICAST && !IsRefusal(rtnl_route_get_type(route))) return false;
  return !Text(rtnl_route_get_dst(route)).starts_with("fe80::");
}

Result<std::vector<Owned<rtnl_route>>> OurRoutes(nl_sock* socket) {
  nl_cache* raw = nullptr;
  TRY(Check(rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &raw), "cannot list the routes"));
  const Owned<nl_cache> cache(raw);
  std::vector<Owned<rtnl_route>> routes;
  for (nl_object* object = nl_cache_get_first(raw); object != nullptr; object = nl_cache_get_next(object)) {
    auto* route = reinterpret_cast<rtnl_route*>(object);
    if (!IsOurs(route)) continue;
    nl_object_get(object);
    routes.emplace_back(route);
  }
  return routes;
}

Result<types::Route> Describe(rtnl_route* route) {
  types::Route described;
  described.set_family(rtnl_route_get_family(route) == AF_INET6 ? types::v6 : types::v4);
  nl_addr* destination = rtnl_route_get_dst(route);
  if (!IsDefault(destination)) described.set_dest(Text(destination));
  described.set_source(Text(rtnl_route_get_pref_src(route)));
  described.set_scope(rtnl_route_get_scope(route));
  described.set_priority(rtnl_route_get_priority(route));
  uint32_t mtu = 0;
  if (rtnl_route_get_metric(route, RTAX_MTU, &mtu) == 0) described.set_mtu(mtu);
  if (IsRefusal(rtnl_route_get_type(route))) {
    described.set_type(rtnl_route_get_type(route));
  } else if (rtnl_nexthop* hop = rtnl_route_nexthop_n(route, 0)) {
    described.set_gateway(Text(rtnl_route_nh_get_gateway(hop)));
    described.set_flags(rtnl_route_nh_get_flags(hop) & RTNH_F_ONLINK);
    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(static_cast<unsigned>(rtnl_route_nh_get_ifindex(hop)), name.data()) != nullptr) {
      described.set_device(name.data());
    }
  }
  return described;
}

Result<Owned<nl_addr>> Destination(const types::Route& wanted, int family) {
  if (!wanted.dest().empty() && wanted.dest() != "default") return netlink::ParseAddress(wanted.dest(), family);
  return netlink::ParseAddress(family == AF_INET6 ? "::/0" : "0.0.0.0/0", family);
}

Result<> AddNextHop(nl_sock* socket, const types::Route& wanted, int family, rtnl_route* route) {
  rtnl_nexthop* hop = rtnl_route_nh_alloc();
  if (hop == nullptr) return Fail(Code::kResourceExhausted, "no memory for a route");
  rtnl_route_add_nexthop(route, hop);
  if (!wanted.device().empty()) {
    const auto link = TRY(netlink::LinkByName(socket, wanted.device()));
    rtnl_route_nh_set_ifindex(hop, rtnl_link_get_ifindex(link.get()));
  }
  if (!wanted.gateway().empty()) {
    const auto gateway = TRY(netlink::ParseAddress(wanted.gateway(), family));
    rtnl_route_nh_set_gateway(hop, gateway.get());
  }
  if ((wanted.flags() & RTNH_F_ONLINK) != 0) rtnl_route_nh_set_flags(hop, RTNH_F_ONLINK);
  return {};
}

Result<> AddRoute(nl_sock* socket, const types::Route& wanted) {
  const int family = wanted.family() == types::v6 ? AF_INET6 : AF_INET;
  const Owned<rtnl_route> route(rtnl_route_alloc());
  if (!route) return Fail(Code::kResourceExhausted, "no memory for a route");
  rtnl_route_set_family(route.get(), static_cast<uint8_t>(family));
  rtnl_route_set_table(route.get(), RT_TABLE_MAIN);
  rtnl_route_set_protocol(route.get(), RTPROT_BOOT);
  rtnl_route_set_scope(route.get(), static_cast<uint8_t>(wanted.scope()));
  const auto destination = TRY(Destination(wanted, family));
  TRY(Check(rtnl_route_set_dst(route.get(), destination.get()), "destination {}", wanted.dest()));
  if (wanted.type() == 0) {
    TRY(AddNextHop(socket, wanted, family, route.get()));
  } else if (IsRefusal(wanted.type())) {
    rtnl_route_set_type(route.get(), static_cast<uint8_t>(wanted.type()));
  } else {
    return Fail(Code::kInvalidArgument, "{} is no type of route that can be added", wanted.type());
  }
  if (!wanted.source().empty()) {
    const auto source = TRY(netlink::ParseAddress(wanted.source(), family));
    TRY(Check(rtnl_route_set_pref_src(route.get(), source.get()), "source {}", wanted.source()));
  }
  if (wanted.priority() != 0) rtnl_route_set_priority(route.get(), wanted.priority());
  if (wanted.mtu() != 0) rtnl_route_set_metric(route.get(), RTAX_MTU, wanted.mtu());
  return Check(rtnl_route_add(socket, route.get(), NLM_F_REPLACE), "the kernel refuses it");
}

}  // namespace

Result<grpc::Routes> ListRoutes() {
  const auto socket = TRY(netlink::Connect());
  const auto routes = TRY(OurRoutes(socket.get()));
  grpc::Routes list;
  for (const auto& route : routes) *list.add_routes() = TRY(Describe(route.get()));
  return list;
}

Result<grpc::Routes> UpdateRoutes(const grpc::Routes& wanted) {
  const auto socket = TRY(netlink::Connect());
  const auto old = TRY(OurRoutes(socket.get()));
  // Rejecting routes are removed last and added first, so that the traffic that they reject never takes another route
  // in between.
  for (const bool refusals : {false, true}) {
    for (const auto& route : old) {
      if (IsRefusal(rtnl_route_get_type(route.get())) != refusals) continue;
      TRY(Check(rtnl_route_delete(socket.get(), route.get(), 0), "cannot remove the route to {}",
                Text(rtnl_route_get_dst(route.get()))));
    }
  }
  // A gateway must be reachable when its route is added, so routes without a gateway are added before.
  const auto turn_of = [](const types::Route& route) {
    return route.type() != 0 ? 0 : route.gateway().empty() ? 1 : 2;
  };
  for (const int turn : {0, 1, 2}) {
    for (const types::Route& route : wanted.routes()) {
      if (turn_of(route) != turn) continue;
      TRY(Context(AddRoute(socket.get(), route), "cannot add the route to {} by way of {} on {}",
                  route.dest().empty() ? "default" : route.dest(),
                  route.gateway().empty() ? "no gateway" : route.gateway(), route.device()));
    }
  }
  return ListRoutes();
}

Result<> AddNeighbors(const grpc::ARPNeighbors& neighbors) {
  const auto socket = TRY(netlink::Connect());
  for (const types::ARPNeighbor& wanted : neighbors.arpneighbors()) {
    const std::string& ip = wanted.toipaddress().address();
    const int family = wanted.toipaddress().family() == types::v6 ? AF_INET6 : AF_INET;
    const auto address = TRY(netlink::ParseAddress(ip.substr(0, ip.find('/')), family));
    const auto link = TRY(Context(netlink::LinkByName(socket.get(), wanted.device()), "neighbour {}", ip));
    const Owned<rtnl_neigh> neighbor(rtnl_neigh_alloc());
    if (!neighbor) return Fail(Code::kResourceExhausted, "no memory for a neighbour");
    rtnl_neigh_set_ifindex(neighbor.get(), rtnl_link_get_ifindex(link.get()));
    rtnl_neigh_set_family(neighbor.get(), family);
    rtnl_neigh_set_state(neighbor.get(), wanted.state() != 0 ? wanted.state() : NUD_PERMANENT);
    if (wanted.flags() != 0) rtnl_neigh_set_flags(neighbor.get(), static_cast<unsigned>(wanted.flags()));
    TRY(Check(rtnl_neigh_set_dst(neighbor.get(), address.get()), "neighbour {}", ip));
    if (!wanted.lladdr().empty()) {
      const auto hardware = TRY(Context(netlink::ParseMac(wanted.lladdr()), "neighbour {}", ip));
      rtnl_neigh_set_lladdr(neighbor.get(), hardware.get());
    }
    TRY(Check(rtnl_neigh_add(socket.get(), neighbor.get(), NLM_F_CREATE | NLM_F_REPLACE),
              "cannot add the neighbour {} on {}", ip, wanted.device()));
  }
  return {};
}

}  // namespace kata::agent
