// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/way_in.h"

#include <arpa/inet.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/addr.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include "sandbox/network/traffic.h"

namespace kata::sandbox::network {
namespace {

using netlink::Check;
using netlink::Owned;

// Where the connections come from: a link-local address (RFC 3927), which no network routes. "ka" in its last bytes.
constexpr char kFrom[] = "169.254.107.97";

// A route to one address by way of a link.
Result<Owned<rtnl_route>> RouteTo(const std::string& address, int link, uint32_t table, uint8_t type, uint8_t scope) {
  Owned<rtnl_route> route(rtnl_route_alloc());
  rtnl_nexthop* hop = rtnl_route_nh_alloc();
  if (!route || hop == nullptr) return Fail(Code::kResourceExhausted, "no memory for a route");
  rtnl_route_nh_set_ifindex(hop, link);
  rtnl_route_add_nexthop(route.get(), hop);
  const auto destination = TRY(netlink::ParseAddress(address, AF_INET));
  TRY(Check(rtnl_route_set_dst(route.get(), destination.get()), "a route to {}", address));
  rtnl_route_set_table(route.get(), table);
  TRY(Check(rtnl_route_set_type(route.get(), type), "a route to {}", address));
  rtnl_route_set_scope(route.get(), scope);
  return route;
}

Result<Owned<rtnl_route>> LocalRoute(const std::string& address, int link) {
  auto route = TRY(RouteTo(address, link, RT_TABLE_LOCAL, RTN_LOCAL, RT_SCOPE_HOST));
  rtnl_route_set_protocol(route.get(), RTPROT_KERNEL);
  const auto source = TRY(netlink::ParseAddress(address, AF_INET));
  TRY(Check(rtnl_route_set_pref_src(route.get(), source.get()), "the local route of {}", address));
  return route;
}

Result<> AddSource(nl_sock* socket, int tap) {
  const Owned<rtnl_addr> address(rtnl_addr_alloc());
  if (!address) return Fail(Code::kResourceExhausted, "no memory for an address");
  const auto from = TRY(netlink::ParseAddress(fmt::format("{}/32", kFrom), AF_INET));
  rtnl_addr_set_ifindex(address.get(), tap);
  TRY(Check(rtnl_addr_set_local(address.get(), from.get()), "the address {}", kFrom));
  return Check(rtnl_addr_add(socket, address.get(), NLM_F_REPLACE), "cannot add the address {}", kFrom);
}

// The kernel drops what comes from an address that it has itself, as the guest's answers do (ip-sysctl, accept_local).
Result<> AcceptTheGuest(nl_sock* socket, rtnl_link* tap) {
  const Owned<rtnl_link> change(rtnl_link_alloc());
  if (!change) return Fail(Code::kResourceExhausted, "no memory for a link");
  TRY(Check(rtnl_link_inet_set_conf(change.get(), IPV4_DEVCONF_ACCEPT_LOCAL, 1), "accept_local"));
  return Check(rtnl_link_change(socket, tap, change.get(), 0), "cannot set accept_local");
}

Result<> AddNeighbor(nl_sock* socket, const std::string& address, const std::string& mac, int tap) {
  const Owned<rtnl_neigh> neighbor(rtnl_neigh_alloc());
  if (!neighbor) return Fail(Code::kResourceExhausted, "no memory for a neighbour");
  const auto destination = TRY(netlink::ParseAddress(address, AF_INET));
  const auto lladdr = TRY(netlink::ParseMac(mac));
  rtnl_neigh_set_ifindex(neighbor.get(), tap);
  rtnl_neigh_set_state(neighbor.get(), NUD_PERMANENT);
  TRY(Check(rtnl_neigh_set_dst(neighbor.get(), destination.get()), "the neighbour {}", address));
  rtnl_neigh_set_lladdr(neighbor.get(), lladdr.get());
  return Check(rtnl_neigh_add(socket, neighbor.get(), NLM_F_CREATE | NLM_F_REPLACE), "cannot add the neighbour {}",
               address);
}

}  // namespace

Result<> OpenWayIn(nl_sock* socket, const PodInterface& interface, rtnl_link* tap, std::set<std::string>& led) {
  const int index = rtnl_link_get_ifindex(tap);
  for (const types::IPAddress& entry : interface.config.ipaddresses()) {
    const std::string& address = entry.address();
    if (entry.family() != types::v4) continue;
    const auto local = TRY(LocalRoute(address, interface.index));
    const int removed = rtnl_route_delete(socket, local.get(), 0);
    if (removed == -NLE_OBJ_NOTFOUND) continue;
    TRY(Check(removed, "cannot take {} from the pod's kernel", address));
    if (led.empty()) {
      TRY(AddSource(socket, index));
      TRY(AcceptTheGuest(socket, tap));
      TRY(LetPass(socket, index, inet_addr(kFrom)));
    }
    led.insert(address);
    const auto route = TRY(RouteTo(address, index, RT_TABLE_MAIN, RTN_UNICAST, RT_SCOPE_LINK));
    const auto from = TRY(netlink::ParseAddress(kFrom, AF_INET));
    TRY(Check(rtnl_route_set_pref_src(route.get(), from.get()), "a route to {}", address));
    TRY(Check(rtnl_route_add(socket, route.get(), NLM_F_REPLACE), "cannot lead {} to the VM", address));
    TRY(AddNeighbor(socket, address, interface.config.hwaddr(), index));
  }
  return {};
}

Result<> CloseWayIn(nl_sock* socket, int link, const std::set<std::string>& led) {
  for (const std::string& address : led) {
    const auto local = TRY(LocalRoute(address, link));
    const int added = rtnl_route_add(socket, local.get(), NLM_F_EXCL);
    // The address, or its link, may be gone.
    if (added != -NLE_EXIST && added != -NLE_NODEV && added != -NLE_INVAL) {
      TRY(Check(added, "cannot give {} back to the pod's kernel", address));
    }
  }
  return {};
}

void AddWayBack(const PodInterface& interface, rtnl_link* tap, PodNetwork& network) {
  types::Route& route = network.routes.emplace_back();
  route.set_family(types::v4);
  route.set_dest(fmt::format("{}/32", kFrom));
  route.set_device(interface.config.name());
  route.set_scope(RT_SCOPE_LINK);
  types::ARPNeighbor& neighbor = network.neighbors.emplace_back();
  neighbor.mutable_toipaddress()->set_family(types::v4);
  neighbor.mutable_toipaddress()->set_address(kFrom);
  neighbor.set_device(interface.config.name());
  neighbor.set_lladdr(netlink::Text(rtnl_link_get_addr(tap)));
  neighbor.set_state(NUD_PERMANENT);
}

}  // namespace kata::sandbox::network
