// SPDX-License-Identifier: Apache-2.0
#include "agent/network/interfaces.h"

#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/files.h"
#include "base/unique_fd.h"
#include "rtnetlink/rtnetlink.h"

namespace kata::agent {

namespace {

using netlink::Check;
using netlink::Owned;
using netlink::Text;

Result<Owned<nl_cache>> Links(nl_sock* socket) {
  nl_cache* cache = nullptr;
  TRY(Check(rtnl_link_alloc_cache(socket, AF_UNSPEC, &cache), "cannot list the interfaces"));
  return Owned<nl_cache>(cache);
}

Result<Owned<nl_cache>> Addresses(nl_sock* socket) {
  nl_cache* cache = nullptr;
  TRY(Check(rtnl_addr_alloc_cache(socket, &cache), "cannot list the addresses"));
  return Owned<nl_cache>(cache);
}

std::string WithoutPrefix(std::string address) {
  address.resize(std::min(address.find('/'), address.size()));
  return address;
}

template <typename Visit>
void ForEach(nl_cache* cache, Visit visit) {
  for (nl_object* object = nl_cache_get_first(cache); object != nullptr; object = nl_cache_get_next(object))
    visit(object);
}

Result<Owned<rtnl_link>> FindLink(nl_sock* socket, const types::Interface& wanted) {
  if (wanted.hwaddr().empty()) return netlink::LinkByName(socket, wanted.device());
  const auto links = TRY(Links(socket));
  std::string mac = wanted.hwaddr();
  std::transform(mac.begin(), mac.end(), mac.begin(), [](unsigned char c) { return std::tolower(c); });
  Owned<rtnl_link> found;
  ForEach(links.get(), [&](nl_object* object) {
    auto* link = reinterpret_cast<rtnl_link*>(object);
    if (found || Text(rtnl_link_get_addr(link)) != mac) return;
    nl_object_get(object);
    found.reset(link);
  });
  if (!found) return Fail(Code::kNotFound, "the guest has no interface with the address {}", wanted.hwaddr());
  return found;
}

Result<> Change(nl_sock* socket, rtnl_link* link, rtnl_link* change, const char* what) {
  return Check(rtnl_link_change(socket, link, change, 0), "interface {}: cannot {}", rtnl_link_get_name(link), what);
}

Result<Owned<rtnl_link>> NewLink() {
  Owned<rtnl_link> link(rtnl_link_alloc());
  if (!link) return Fail(Code::kResourceExhausted, "no memory for an interface's changes");
  return link;
}

Result<> SetUp(nl_sock* socket, rtnl_link* link, bool up) {
  const auto change = TRY(NewLink());
  if (up) {
    rtnl_link_set_flags(change.get(), IFF_UP);
  } else {
    rtnl_link_unset_flags(change.get(), IFF_UP);
  }
  return Change(socket, link, change.get(), up ? "set it up" : "set it down");
}

// The kernel renames only interfaces that are down. Two interfaces may swap names, so an interface that has the wanted
// name is renamed to kataINDEX first.
Result<> Rename(nl_sock* socket, rtnl_link* link, const std::string& name) {
  if (name.empty() || name == rtnl_link_get_name(link)) return {};
  if (name.size() >= IFNAMSIZ || name.find_first_of("/ \t\n:%") != std::string::npos || name == "." || name == "..") {
    return Fail(Code::kInvalidArgument, "\"{}\" is no name for an interface", name);
  }
  auto other = netlink::LinkByName(socket, name);
  if (other) {
    TRY(SetUp(socket, other->get(), /*up=*/false));
    const auto aside = TRY(NewLink());
    rtnl_link_set_name(aside.get(), fmt::format("kata{}", rtnl_link_get_ifindex(other->get())).c_str());
    TRY(Change(socket, other->get(), aside.get(), "rename it"));
  }
  TRY(SetUp(socket, link, /*up=*/false));
  const auto change = TRY(NewLink());
  rtnl_link_set_name(change.get(), name.c_str());
  return Change(socket, link, change.get(), "rename it");
}

Result<> RemoveAddresses(nl_sock* socket, int index) {
  const auto addresses = TRY(Addresses(socket));
  Result<> result;
  ForEach(addresses.get(), [&](nl_object* object) {
    auto* address = reinterpret_cast<rtnl_addr*>(object);
    // Link-local IPv6 addresses are managed by the kernel.
    if (!result || rtnl_addr_get_ifindex(address) != index) return;
    if (rtnl_addr_get_family(address) == AF_INET6 && rtnl_addr_get_scope(address) == RT_SCOPE_LINK) return;
    const int error = rtnl_addr_delete(socket, address, 0);
    if (error != -NLE_NOADDR) result = Check(error, "cannot remove the address {}", Text(rtnl_addr_get_local(address)));
  });
  return result;
}

// Before the interface is set up: the kernel gives it an address of its own then, and asks for routers.
Result<> SetIpv6(const std::string& name, bool disabled) {
  const std::string file = fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", name);
  const auto now = ReadFile(file, 64);
  // A kernel without IPv6, or an interface whose MTU is too small for it.
  if (!now && now.error().sys() == ENOENT) return {};
  if (now && now->starts_with('1') == disabled) return {};
  return Context(WriteFile(file, disabled ? "1" : "0"), "interface {}: cannot switch IPv6", name);
}

Result<> AddAddress(nl_sock* socket, int index, const types::IPAddress& wanted) {
  const int family = wanted.family() == types::v6 ? AF_INET6 : AF_INET;
  const auto local = TRY(netlink::ParseAddress(WithoutPrefix(wanted.address()), family));
  int prefix = family == AF_INET6 ? 128 : 32;
  if (!wanted.mask().empty()) {
    const std::string& mask = wanted.mask();
    const int longest = prefix;
    const auto [end, error] = std::from_chars(mask.data(), mask.data() + mask.size(), prefix);
    if (error != std::errc() || end != mask.data() + mask.size() || prefix < 0 || prefix > longest) {
      return Fail(Code::kInvalidArgument, "the mask \"{}\" of {} is no prefix length", mask, wanted.address());
    }
  }
  nl_addr_set_prefixlen(local.get(), prefix);
  Owned<rtnl_addr> address(rtnl_addr_alloc());
  if (!address) return Fail(Code::kResourceExhausted, "no memory for an address");
  rtnl_addr_set_ifindex(address.get(), index);
  TRY(Check(rtnl_addr_set_local(address.get(), local.get()), "address {}", wanted.address()));
  // Skips duplicate address detection, which would delay the use of the address: the host has assigned it already.
  if (family == AF_INET6) rtnl_addr_set_flags(address.get(), IFA_F_NODAD);
  const int error = rtnl_addr_add(socket, address.get(), 0);
  if (error == -NLE_EXIST) return {};  // a link-local address, which RemoveAddresses keeps
  return Check(error, "cannot add the address {}/{}", wanted.address(), prefix);
}

types::Interface Describe(rtnl_link* link, nl_cache* addresses) {
  types::Interface described;
  described.set_device(rtnl_link_get_name(link));
  described.set_name(rtnl_link_get_name(link));
  described.set_mtu(rtnl_link_get_mtu(link));
  described.set_raw_flags(rtnl_link_get_flags(link));
  if (rtnl_link_get_addr(link) != nullptr) described.set_hwaddr(Text(rtnl_link_get_addr(link)));
  if (const char* type = rtnl_link_get_type(link)) described.set_type(type);
  ForEach(addresses, [&](nl_object* object) {
    auto* address = reinterpret_cast<rtnl_addr*>(object);
    if (rtnl_addr_get_ifindex(address) != rtnl_link_get_ifindex(link)) return;
    auto* added = described.add_ipaddresses();
    added->set_family(rtnl_addr_get_family(address) == AF_INET6 ? types::v6 : types::v4);
    added->set_address(WithoutPrefix(Text(rtnl_addr_get_local(address))));
    added->set_mask(std::to_string(rtnl_addr_get_prefixlen(address)));
  });
  return described;
}

}  // namespace

Result<types::Interface> UpdateInterface(const types::Interface& wanted) {
  if (wanted.mtu() > UINT32_MAX) return Fail(Code::kInvalidArgument, "an mtu of {} is not possible", wanted.mtu());
  const auto socket = TRY(netlink::Connect());
  auto link = TRY(FindLink(socket.get(), wanted));
  const int index = rtnl_link_get_ifindex(link.get());
  TRY(Rename(socket.get(), link.get(), wanted.name()));
  // Looks the link up again by index, because the object may still have the old name.
  rtnl_link* renamed = nullptr;
  TRY(Check(rtnl_link_get_kernel(socket.get(), index, nullptr, &renamed), "interface {}", wanted.name()));
  link.reset(renamed);
  TRY(RemoveAddresses(socket.get(), index));
  TRY(SetIpv6(rtnl_link_get_name(link.get()), wanted.ipv6_disabled()));
  const auto change = TRY(NewLink());
  if (wanted.mtu() > 0) rtnl_link_set_mtu(change.get(), static_cast<unsigned>(wanted.mtu()));
  if ((wanted.raw_flags() & IFF_NOARP) != 0) rtnl_link_set_flags(change.get(), IFF_NOARP);
  rtnl_link_set_flags(change.get(), IFF_UP);
  TRY(Change(socket.get(), link.get(), change.get(), "set its mtu and flags"));
  for (const types::IPAddress& address : wanted.ipaddresses()) {
    TRY(Context(AddAddress(socket.get(), index, address), "interface {}", rtnl_link_get_name(link.get())));
  }
  TRY(Check(rtnl_link_get_kernel(socket.get(), index, nullptr, &renamed), "interface {}", wanted.name()));
  link.reset(renamed);
  const auto addresses = TRY(Addresses(socket.get()));
  return Describe(link.get(), addresses.get());
}

Result<grpc::Interfaces> ListInterfaces() {
  const auto socket = TRY(netlink::Connect());
  const auto links = TRY(Links(socket.get()));
  const auto addresses = TRY(Addresses(socket.get()));
  grpc::Interfaces list;
  ForEach(links.get(), [&](nl_object* object) {
    *list.add_interfaces() = Describe(reinterpret_cast<rtnl_link*>(object), addresses.get());
  });
  return list;
}

Result<std::vector<grpc::NetworkStats>> InterfaceStats() {
  const auto socket = TRY(netlink::Connect());
  const auto links = TRY(Links(socket.get()));
  std::vector<grpc::NetworkStats> all;
  ForEach(links.get(), [&](nl_object* object) {
    auto* link = reinterpret_cast<rtnl_link*>(object);
    if ((rtnl_link_get_flags(link) & IFF_LOOPBACK) != 0) return;
    grpc::NetworkStats stats;
    stats.set_name(rtnl_link_get_name(link));
    stats.set_rx_bytes(rtnl_link_get_stat(link, RTNL_LINK_RX_BYTES));
    stats.set_rx_packets(rtnl_link_get_stat(link, RTNL_LINK_RX_PACKETS));
    stats.set_rx_errors(rtnl_link_get_stat(link, RTNL_LINK_RX_ERRORS));
    stats.set_rx_dropped(rtnl_link_get_stat(link, RTNL_LINK_RX_DROPPED));
    stats.set_tx_bytes(rtnl_link_get_stat(link, RTNL_LINK_TX_BYTES));
    stats.set_tx_packets(rtnl_link_get_stat(link, RTNL_LINK_TX_PACKETS));
    stats.set_tx_errors(rtnl_link_get_stat(link, RTNL_LINK_TX_ERRORS));
    stats.set_tx_dropped(rtnl_link_get_stat(link, RTNL_LINK_TX_DROPPED));
    all.push_back(std::move(stats));
  });
  return all;
}

// Uses ioctl(2), which starts up much faster than libnl. The kernel assigns the addresses by itself.
Result<> SetUpLoopback() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (!socket || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) < 0) return FailErrno("cannot look at lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) < 0) return FailErrno("cannot set lo up");
  return {};
}

}  // namespace kata::agent
