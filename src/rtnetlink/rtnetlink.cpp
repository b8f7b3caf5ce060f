// SPDX-License-Identifier: Apache-2.0
#include "rtnetlink/rtnetlink.h"

#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

namespace kata::netlink {

namespace {

// The errno of the kernel's last answer that libnl reports only as NLE_FAILURE; 0: none, or ErrorOf has reported it. A
// global, since the processes that use this have one thread.
int hidden_errno = 0;

int KeepErrno(sockaddr_nl* /*from*/, nlmsgerr* answer, void* /*unused*/) {
  if (nl_syserr2nlerr(answer->error) == NLE_FAILURE) hidden_errno = -answer->error;
  return NL_STOP;  // libnl then returns its own error number for the answer
}

}  // namespace

void Deleter::operator()(nl_sock* socket) const { nl_socket_free(socket); }
void Deleter::operator()(nl_cache* cache) const { nl_cache_free(cache); }
void Deleter::operator()(rtnl_link* link) const { rtnl_link_put(link); }
void Deleter::operator()(rtnl_addr* address) const { rtnl_addr_put(address); }
void Deleter::operator()(nl_addr* address) const { nl_addr_put(address); }
void Deleter::operator()(rtnl_route* route) const { rtnl_route_put(route); }
void Deleter::operator()(rtnl_neigh* neighbor) const { rtnl_neigh_put(neighbor); }

Error ErrorOf(int nl_error, std::string what) {
  if (const int sys = std::exchange(hidden_errno, 0); sys != 0 && std::abs(nl_error) == NLE_FAILURE) {
    return {CodeOfErrno(sys), fmt::format("{}: {}", what, ErrnoText(sys)), sys};
  }
  Code code = Code::kInternal;
  switch (std::abs(nl_error)) {
    case NLE_OBJ_NOTFOUND:
    case NLE_NODEV:
      code = Code::kNotFound;
      break;
    case NLE_EXIST:
      code = Code::kAlreadyExists;
      break;
    case NLE_INVAL:
    case NLE_NOADDR:
    case NLE_RANGE:
      code = Code::kInvalidArgument;
      break;
    case NLE_OPNOTSUPP:
      code = Code::kUnimplemented;
      break;
    case NLE_BUSY:
      code = Code::kUnavailable;
      break;
    case NLE_PERM:
      code = Code::kPermissionDenied;
      break;
    default:
      break;
  }
  return {code, fmt::format("{}: {}", what, nl_geterror(nl_error))};
}

std::string Text(nl_addr* address) {
  std::array<char, 80> buffer{};
  if (address == nullptr) return {};
  return nl_addr2str(address, buffer.data(), buffer.size());
}

Result<Owned<nl_sock>> Connect() {
  Owned<nl_sock> socket(nl_socket_alloc());
  if (!socket) return Fail(Code::kResourceExhausted, "no memory for a netlink socket");
  nl_socket_modify_err_cb(socket.get(), NL_CB_CUSTOM, KeepErrno, nullptr);
  const int error = nl_connect(socket.get(), NETLINK_ROUTE);
  if (error < 0) return tl::unexpected<Error>(ErrorOf(error, "cannot open a netlink socket"));
  return socket;
}

Result<Owned<nl_addr>> ParseAddress(const std::string& text, int family) {
  // nl_addr_parse also accepts host names and other address families: allow only the characters of IP addresses.
  if (text.empty() || text.size() > 64 || text.find_first_not_of("0123456789abcdefABCDEF.:/") != std::string::npos) {
    return Fail(Code::kInvalidArgument, "\"{}\" is no IP address", text);
  }
  nl_addr* parsed = nullptr;
  const int error = nl_addr_parse(text.c_str(), family, &parsed);
  Owned<nl_addr> address(parsed);
  if (error < 0) return Fail(Code::kInvalidArgument, "\"{}\" is no IP address: {}", text, nl_geterror(error));
  const int got = nl_addr_get_family(address.get());
  if (got != AF_INET && got != AF_INET6) return Fail(Code::kInvalidArgument, "\"{}\" is no IP address", text);
  return address;
}

Result<Owned<nl_addr>> ParseMac(const std::string& text) {
  std::array<uint8_t, 6> bytes{};
  const bool whole = text.size() == 3 * bytes.size() - 1;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char* at = text.data() + 3 * i;
    const bool good =
        whole && std::from_chars(at, at + 2, bytes[i], 16).ptr == at + 2 && (i + 1 == bytes.size() || at[2] == ':');
    if (!good) return Fail(Code::kInvalidArgument, "\"{}\" is no hardware address", text);
  }
  Owned<nl_addr> address(nl_addr_build(AF_LLC, bytes.data(), bytes.size()));
  if (!address) return Fail(Code::kResourceExhausted, "no memory for an address");
  return address;
}

Result<Owned<rtnl_link>> LinkByName(nl_sock* socket, const std::string& name) {
  if (name.empty() || name.size() >= IF_NAMESIZE) {
    return Fail(Code::kInvalidArgument, "\"{}\" is no name of an interface", name);
  }
  rtnl_link* link = nullptr;
  const int error = rtnl_link_get_kernel(socket, 0, name.c_str(), &link);
  if (error < 0) return tl::unexpected<Error>(ErrorOf(error, fmt::format("interface {}", name)));
  return Owned<rtnl_link>(link);
}

}  // namespace kata::netlink
