// SPDX-License-Identifier: Apache-2.0
// libnl's objects as owned values, and its errors as ours.
#pragma once

#include <memory>

#include "base/result.h"

struct nl_sock;
struct nl_cache;
struct rtnl_link;
struct rtnl_addr;
struct nl_addr;
struct rtnl_route;
struct rtnl_neigh;

namespace kata::netlink {

struct Deleter {
  void operator()(nl_sock* socket) const;
  void operator()(nl_cache* cache) const;
  void operator()(rtnl_link* link) const;
  void operator()(rtnl_addr* address) const;
  void operator()(nl_addr* address) const;
  void operator()(rtnl_route* route) const;
  void operator()(rtnl_neigh* neighbor) const;
};

template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

// A NETLINK_ROUTE socket in the current network namespace.
Result<Owned<nl_sock>> Connect();

// The Error for what a libnl function answered, with errno's number where libnl hides one.
Error ErrorOf(int nl_error, std::string what);

// What a libnl function answered, as a Result with this in front.
template <typename... Args>
Result<> Check(int error, fmt::format_string<Args...> format, Args&&... args) {
  if (error >= 0) return {};
  return tl::unexpected<Error>(ErrorOf(error, fmt::format(format, std::forward<Args>(args)...)));
}

// An address as people write it, with the prefix length where it is not the whole; "" for none.
std::string Text(nl_addr* address);

// "10.0.0.1", "fe80::1/64" ...; family AF_INET, AF_INET6 or AF_UNSPEC for both.
Result<Owned<nl_addr>> ParseAddress(const std::string& text, int family);

// "02:00:0a:01:02:03". libnl's own parser needs sscanf, which the agent lacks.
Result<Owned<nl_addr>> ParseMac(const std::string& text);

// The link called name; kNotFound.
Result<Owned<rtnl_link>> LinkByName(nl_sock* socket, const std::string& name);

}  // namespace kata::netlink
