// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/scan.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/files.h"

namespace kata::sandbox::network {
namespace {

using netlink::Check;
using netlink::Owned;
using netlink::Text;

constexpr size_t kMaxAddresses = 256;
constexpr size_t kMaxRoutes = 1024;
constexpr size_t kMaxNeighbors = 1024;
constexpr std::string_view kTapPrefix = "tap";
constexpr std::string_view kTapSuffix = "_kata";

template <typename Object, typename Visit>
void ForEach(nl_cache* cache, Visit visit) {
  for (nl_object* object = nl_cache_get_first(cache); object != nullptr; object = nl_cache_get_next(object)) {
    visit(reinterpret_cast<Object*>(object));
  }
}

std::string WithoutPrefix(std::string address) {
  address.resize(std::min(address.find('/'), address.size()));
  return address;
}

types::IPFamily FamilyOf(int family) { return family == AF_INET6 ? types::v6 : types::v4; }

bool IsLinkLocal(rtnl_addr* address) {
  return rtnl_addr_get_family(address) == AF_INET6 && rtnl_addr_get_scope(address) == RT_SCOPE_LINK;
}

// Whether the address is the one that a kernel makes from the MAC (RFC 4291, appendix A). The guest's kernel makes it,
// too.
bool IsMadeOf(nl_addr* mac, nl_addr* address) {
  if (mac == nullptr || nl_addr_get_len(mac) != 6 || nl_addr_get_len(address) != 16) return false;
  const auto* m = static_cast<const uint8_t*>(nl_addr_get_binary_addr(mac));
  const std::array<uint8_t, 8> made = {static_cast<uint8_t>(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
  return std::memcmp(static_cast<const uint8_t*>(nl_addr_get_binary_addr(address)) + 8, made.data(), made.size()) == 0;
}

// Adds the link's addresses. Returns whether one of them is not an automatic one (link-local).
bool AddAddresses(nl_cache* addresses, rtnl_link* link, types::Interface& config) {
  bool given = false;
  ForEach<rtnl_addr>(addresses, [&](rtnl_addr* address) {
    if (rtnl_addr_get_ifindex(address) != rtnl_link_get_ifindex(link)) return;
    nl_addr* local = rtnl_addr_get_local(address);
    if (local == nullptr || config.ipaddresses_size() >= static_cast<int>(kMaxAddresses)) return;
    const bool link_local = IsLinkLocal(address);
    given |= !link_local;
    if (link_local && IsMadeOf(rtnl_link_get_addr(link), local)) return;
    types::IPAddress& added = *config.add_ipaddresses();
    added.set_family(FamilyOf(rtnl_addr_get_family(address)));
    added.set_address(WithoutPrefix(Text(local)));
    // With a peer, the prefix of an IPv4 address belongs to the peer.
    const bool alone = rtnl_addr_get_peer(address) != nullptr && added.family() == types::v4;
    added.set_mask(alone ? "32" : std::to_string(rtnl_addr_get_prefixlen(address)));
  });
  return given;
}

std::string KindOf(rtnl_link* link) {
  const char* kind = rtnl_link_get_type(link);
  return kind != nullptr ? kind : "";
}

void AddLink(rtnl_link* link, nl_cache* addresses, PodNetwork& found) {
  const std::string name = rtnl_link_get_name(link) != nullptr ? rtnl_link_get_name(link) : "";
  found.links.push_back(rtnl_link_get_ifindex(link));
  if ((rtnl_link_get_flags(link) & IFF_LOOPBACK) != 0 || IsTapName(name)) return;
  PodInterface interface;
  interface.index = rtnl_link_get_ifindex(link);
  interface.parent = rtnl_link_get_link(link);
  types::Interface& config = interface.config;
  if (!AddAddresses(addresses, link, config)) return;
  const std::string kind = KindOf(link);
  const auto type = EndpointType(kind, rtnl_link_get_arptype(link) == ARPHRD_ETHER);
  if (!type) {
    found.unsupported.push_back(
        fmt::format("unsupported network interface {}: a link of the kind {} cannot be attached to a VM", name,
                    kind.empty() ? fmt::format("of hardware type {}", rtnl_link_get_arptype(link)) : kind));
    return;
  }
  config.set_device(name);
  config.set_name(name);
  config.set_mtu(rtnl_link_get_mtu(link));
  config.set_hwaddr(Text(rtnl_link_get_addr(link)));
  config.set_type(*type);
  config.set_raw_flags(rtnl_link_get_flags(link) & IFF_NOARP);
  if (found.interfaces.size() >= kMaxInterfaces) {
    found.unsupported.push_back(fmt::format("network interface {}: a pod can have {} of them", name, kMaxInterfaces));
    return;
  }
  found.interfaces.push_back(std::move(interface));
}

// Whether the kernel has made the route for the peer of an address. The agent is not told of peers, so the guest needs
// the route.
bool LeadsToPeer(rtnl_route* route, nl_cache* addresses) {
  rtnl_nexthop* hop = rtnl_route_nexthop_n(route, 0);
  nl_addr* destination = rtnl_route_get_dst(route);
  if (hop == nullptr || destination == nullptr || nl_addr_get_prefixlen(destination) == 0) return false;
  bool leads = false;
  ForEach<rtnl_addr>(addresses, [&](rtnl_addr* address) {
    nl_addr* peer = rtnl_addr_get_peer(address);
    if (peer == nullptr || rtnl_addr_get_ifindex(address) != rtnl_route_nh_get_ifindex(hop) ||
        nl_addr_get_family(peer) != nl_addr_get_family(destination) || nl_addr_cmp_prefix(destination, peer) != 0 ||
        static_cast<int>(nl_addr_get_prefixlen(destination)) < rtnl_addr_get_prefixlen(address)) {
      return;
    }
    // The guest's kernel makes the route to an IPv6 address's own prefix as well.
    nl_addr* local = rtnl_addr_get_local(address);
    leads |= nl_addr_get_family(peer) == AF_INET || nl_addr_cmp_prefix(destination, local) != 0;
  });
  return leads;
}

// Whether somebody has set the route. The guest's kernel itself makes the routes of its addresses, and learns those
// from routers.
bool Matters(rtnl_route* route, nl_cache* addresses) {
  const int protocol = rtnl_route_get_protocol(route);
  return rtnl_route_get_table(route) == RT_TABLE_MAIN && protocol != RTPROT_RA && protocol != RTPROT_REDIRECT &&
         (rtnl_route_get_flags(route) & RTM_F_CLONED) == 0 &&
         (protocol != RTPROT_KERNEL || (rtnl_route_get_type(route) == RTN_UNICAST && LeadsToPeer(route, addresses)));
}

// Sets where the route leads. False: its target is not in the guest.
bool SetTarget(rtnl_route* route, const std::string& name, PodNetwork& found, types::Route& added) {
  const uint8_t type = rtnl_route_get_type(route);
  if (type == RTN_BLACKHOLE || type == RTN_UNREACHABLE || type == RTN_PROHIBIT) {
    added.set_type(type);
    added.set_device("lo");  // for an agent that does not know route types
    return true;
  }
  if (type != RTN_UNICAST) {
    std::array<char, 32> text{};
    found.losses.push_back(fmt::format("the route to {} is not in the guest: it is of the type {}", name,
                                       nl_rtntype2str(type, text.data(), text.size())));
    return false;
  }
  rtnl_nexthop* hop = rtnl_route_nexthop_n(route, 0);
  const PodInterface* interface = hop != nullptr ? found.Find(rtnl_route_nh_get_ifindex(hop)) : nullptr;
  if (interface == nullptr) return false;
  added.set_device(interface->config.name());
  added.set_gateway(WithoutPrefix(Text(rtnl_route_nh_get_gateway(hop))));
  added.set_flags(rtnl_route_nh_get_flags(hop) & RTNH_F_ONLINK);
  if (rtnl_route_get_nnexthops(route) > 1) {
    found.losses.push_back(fmt::format("the route to {} has several next hops: the guest gets the first", name));
  }
  return true;
}

void AddRoute(rtnl_route* route, nl_cache* addresses, PodNetwork& found) {
  if (!Matters(route, addresses) || found.routes.size() >= kMaxRoutes || found.losses.size() >= kMaxRoutes) return;
  types::Route added;
  added.set_family(FamilyOf(rtnl_route_get_family(route)));
  nl_addr* destination = rtnl_route_get_dst(route);
  if (destination != nullptr && nl_addr_get_prefixlen(destination) != 0) {
    // Always with the prefix length, which libnl's text of a host address lacks.
    added.set_dest(fmt::format("{}/{}", WithoutPrefix(Text(destination)), nl_addr_get_prefixlen(destination)));
  }
  const std::string name = added.dest().empty() ? "default" : added.dest();
  if (!SetTarget(route, name, found, added)) return;
  added.set_source(WithoutPrefix(Text(rtnl_route_get_pref_src(route))));
  added.set_scope(rtnl_route_get_scope(route));
  added.set_priority(rtnl_route_get_priority(route));
  uint32_t value = 0;
  if (rtnl_route_get_metric(route, RTAX_MTU, &value) == 0) added.set_mtu(value);
  if (rtnl_route_get_metric(route, RTAX_ADVMSS, &value) == 0) {
    found.losses.push_back(fmt::format("the route to {} is in the guest without its advmss {}", name, value));
  }
  found.routes.push_back(std::move(added));
}

void AddNeighbor(rtnl_neigh* neighbor, PodNetwork& found) {
  const int state = rtnl_neigh_get_state(neighbor);
  const PodInterface* interface = found.Find(rtnl_neigh_get_ifindex(neighbor));
  nl_addr* address = rtnl_neigh_get_dst(neighbor);
  nl_addr* mac = rtnl_neigh_get_lladdr(neighbor);
  if (interface == nullptr || address == nullptr || mac == nullptr || state < 0 || (state & NUD_PERMANENT) == 0 ||
      found.neighbors.size() >= kMaxNeighbors) {
    return;
  }
  const int family = nl_addr_get_family(address);
  if (family != AF_INET && family != AF_INET6) return;
  types::ARPNeighbor added;
  added.mutable_toipaddress()->set_family(FamilyOf(family));
  added.mutable_toipaddress()->set_address(WithoutPrefix(Text(address)));
  added.set_device(interface->config.name());
  added.set_lladdr(Text(mac));
  added.set_state(NUD_PERMANENT);
  found.neighbors.push_back(std::move(added));
}

}  // namespace

std::string TapName(int index) { return fmt::format("{}{}{}", kTapPrefix, index, kTapSuffix); }

bool IsTapName(std::string_view name) {
  if (!name.starts_with(kTapPrefix) || !name.ends_with(kTapSuffix)) return false;
  if (name.size() <= kTapPrefix.size() + kTapSuffix.size()) return false;
  name.remove_prefix(kTapPrefix.size());
  name.remove_suffix(kTapSuffix.size());
  return name.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<std::string> EndpointType(std::string_view kind, bool ethernet) {
  if (!ethernet) return std::nullopt;
  // Sub-functions of network cards have the kind "device".
  if (kind.empty() || kind == "device") return "physical";
  if (kind == "tun") return "tap";
  for (const char* known : {"veth", "macvlan", "macvtap", "ipvlan", "vlan"}) {
    if (kind == known) return known;
  }
  return std::nullopt;
}

const PodInterface* PodNetwork::Find(int index) const {
  const auto found = std::find_if(interfaces.begin(), interfaces.end(),
                                  [index](const PodInterface& interface) { return interface.index == index; });
  return found == interfaces.end() ? nullptr : &*found;
}

bool Ipv6Disabled(const std::string& name) {
  const auto text = ReadFile(fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", name), 64);
  return text ? !text->starts_with('0') : text.error().sys() == ENOENT;
}

Result<PodNetwork> Scan(nl_sock* socket) {
  nl_cache* raw = nullptr;
  TRY(Check(rtnl_link_alloc_cache(socket, AF_UNSPEC, &raw), "cannot list the pod's interfaces"));
  const Owned<nl_cache> links(raw);
  TRY(Check(rtnl_addr_alloc_cache(socket, &raw), "cannot list the pod's addresses"));
  const Owned<nl_cache> addresses(raw);
  TRY(Check(rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &raw), "cannot list the pod's routes"));
  const Owned<nl_cache> routes(raw);
  TRY(Check(rtnl_neigh_alloc_cache(socket, &raw), "cannot list the pod's neighbours"));
  const Owned<nl_cache> neighbors(raw);

  PodNetwork found;
  ForEach<rtnl_link>(links.get(), [&](rtnl_link* link) { AddLink(link, addresses.get(), found); });
  std::sort(found.interfaces.begin(), found.interfaces.end(),
            [](const PodInterface& a, const PodInterface& b) { return a.index < b.index; });
  ForEach<rtnl_route>(routes.get(), [&](rtnl_route* route) { AddRoute(route, addresses.get(), found); });
  // On-link routes first: others need them to reach their gateway.
  std::stable_partition(found.routes.begin(), found.routes.end(),
                        [](const types::Route& route) { return route.gateway().empty(); });
  ForEach<rtnl_neigh>(neighbors.get(), [&](rtnl_neigh* neighbor) { AddNeighbor(neighbor, found); });
  return found;
}

}  // namespace kata::sandbox::network
