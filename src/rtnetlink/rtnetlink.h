// SPDX-License-Identifier: Apache-2.0
// RAII for libnl's objects, and conversion of libnl's errors to Error (base/result.h). For single-threaded processes.
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

// Opens a NETLINK_ROUTE socket in the current network namespace.
Result<Owned<nl_sock>> Connect();

// Converts the return value of a libnl function to an Error whose message begins with what. For NLE_FAILURE, which
// hides the kernel's errno, the Error has the errno that the kernel answered last on a socket of Connect.
Error ErrorOf(int nl_error, std::string what);

// Success if error, the return value of a libnl function, is not negative; else ErrorOf with the formatted text.
template <typename... Args>
Result<> Check(int error, fmt::format_string<Args...> format, Args&&... args) {
  if (error >= 0) return {};
  return tl::unexpected<Error>(ErrorOf(error, fmt::format(format, std::forward<Args>(args)...)));
}

// The address as text, with the prefix length unless it covers the whole address; "" for nullptr.
std::string Text(nl_addr* address);

// Parses "10.0.0.1", "fe80::1/64" and the like. family: AF_INET, AF_INET6, or AF_UNSPEC for both. kInvalidArgument.
Result<Owned<nl_addr>> ParseAddress(const std::string& text, int family);

// Parses "02:00:0a:01:02:03". kInvalidArgument. libnl's own parser is not used, since it needs sscanf, which the agent
// is linked without.
Result<Owned<nl_addr>> ParseMac(const std::string& text);

// Asks the kernel for the network interface with this name. kNotFound; kInvalidArgument: not a valid name.
Result<Owned<rtnl_link>> LinkByName(nl_sock* socket, const std::string& name);

}  // namespace kata::netlink
