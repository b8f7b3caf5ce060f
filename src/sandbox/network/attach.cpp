// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/attach.h"

#include <fmt/ranges.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/link/macvlan.h>
#include <netlink/route/link/macvtap.h>
#include <sys/random.h>

#include <array>

#include "base/log.h"
#include "sandbox/network/tap.h"
#include "sandbox/network/traffic.h"
#include "sandbox/network/way_in.h"

namespace kata::sandbox::network {
namespace {

using netlink::Check;
using netlink::Owned;
using netlink::Text;

// The prefix of the alias of this runtime's macvtaps; the sandbox's id follows.
constexpr char kAlias[] = "kata:";

Result<Owned<rtnl_link>> NewLink() {
  Owned<rtnl_link> link(rtnl_link_alloc());
  if (!link) return Fail(Code::kResourceExhausted, "no memory for a link");
  return link;
}

Result<Owned<rtnl_link>> LinkByIndex(nl_sock* socket, int index) {
  rtnl_link* link = nullptr;
  TRY(Check(rtnl_link_get_kernel(socket, index, nullptr, &link), "link {}", index));
  return Owned<rtnl_link>(link);
}

Result<> SetMac(nl_sock* socket, int index, const std::string& mac) {
  const auto address = TRY(netlink::ParseMac(mac));
  const auto link = TRY(LinkByIndex(socket, index));
  const auto change = TRY(NewLink());
  rtnl_link_set_addr(change.get(), address.get());
  return Check(rtnl_link_change(socket, link.get(), change.get(), 0), "cannot set the hardware address {}", mac);
}

// Sets a tap up, with this MTU, and silent: the host's own network stack must not send packets there (router
// solicitations, ARP).
Result<> SetUpTap(nl_sock* socket, rtnl_link* tap, unsigned mtu) {
  const auto quiet = TRY(NewLink());
  rtnl_link_inet6_set_addr_gen_mode(quiet.get(), IN6_ADDR_GEN_MODE_NONE);
  if (const int error = rtnl_link_change(socket, tap, quiet.get(), 0); error < 0) {
    log::Debug("{} keeps its own IPv6 address: a host without IPv6?", rtnl_link_get_name(tap));
  }
  const auto change = TRY(NewLink());
  rtnl_link_set_mtu(change.get(), mtu);
  rtnl_link_set_flags(change.get(), IFF_UP | IFF_NOARP);
  return Check(rtnl_link_change(socket, tap, change.get(), 0), "cannot set {} up", rtnl_link_get_name(tap));
}

void LeadIn(nl_sock* socket, const PodInterface& interface, rtnl_link* tap, const AttachOptions& options,
            Attachment& attachment) {
  if (!options.way_in || interface.config.type() != "tap") return;
  auto opened = OpenWayIn(socket, interface, tap, attachment.led);
  if (!opened) log::Warn("published ports may not reach the guest: {}", opened.error().message());
}

Result<std::vector<UniqueFd>> AttachByFilter(const Namespace& pod, nl_sock* socket, const PodInterface& interface,
                                             const AttachOptions& options, Attachment& attachment) {
  if (const int target = TRY(RedirectTarget(socket, interface.index)); target > 0 && LinkByIndex(socket, target)) {
    return Fail(Code::kAlreadyExists, "it belongs to another VM, by way of link {}", target);
  }
  const std::string name = TapName(interface.index);
  auto queues = TRY(pod.Do([&] { return MakeTap(name, options.queues); }));
  const auto tap = TRY(netlink::LinkByName(socket, name));
  const int index = rtnl_link_get_ifindex(tap.get());
  TRY(SetUpTap(socket, tap.get(), static_cast<unsigned>(interface.config.mtu())));
  if (options.rx_rate != 0) TRY(Context(LimitRate(socket, index, options.rx_rate), "{}", name));
  if (options.tx_rate != 0) {
    TRY(LimitRate(socket, interface.index, options.tx_rate));
    attachment.limited = true;
  }
  TRY(Context(Redirect(socket, index, interface.index), "{}", name));
  attachment.redirected = true;
  TRY(Redirect(socket, interface.index, index));
  LeadIn(socket, interface, tap.get(), options, attachment);
  return queues;
}

std::string RandomMac() {
  std::array<uint8_t, 6> bytes{};
  // Retried until all bytes have come: with zeros all network cards would have the same address.
  while (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
  }
  bytes[0] = static_cast<uint8_t>((bytes[0] & 0xfeU) | 2U);  // a unicast, locally administered address
  return fmt::format("{:02x}", fmt::join(bytes, ":"));
}

Result<std::vector<UniqueFd>> AttachByMacvtap(const Namespace& pod, nl_sock* socket, const PodInterface& interface,
                                              const AttachOptions& options, Attachment& attachment) {
  const std::string& type = interface.config.type();
  if (type != "veth" && type != "vlan" && type != "physical") {
    return Fail(Code::kUnimplemented, "a {} cannot carry a macvtap: use internetworking_model = \"tcfilter\"", type);
  }
  if (options.rx_rate != 0) {
    return Fail(Code::kUnimplemented,
                "rx_rate_limiter_max_rate: what goes through a macvtap cannot be limited in that direction: use "
                "internetworking_model = \"tcfilter\"");
  }
  const std::string name = TapName(interface.index);
  if (netlink::LinkByName(socket, name)) return Fail(Code::kAlreadyExists, "it belongs to another VM ({})", name);
  // The guest gets the pod's hardware address, so the pod's link needs another: two links on one wire cannot share one.
  const std::string other = RandomMac();
  TRY(SetMac(socket, interface.index, other));
  attachment.model = Model::kMacvtap;
  const Owned<rtnl_link> link(rtnl_link_macvtap_alloc());
  const auto mac = TRY(netlink::ParseMac(attachment.mac));
  rtnl_link_set_name(link.get(), name.c_str());
  rtnl_link_set_link(link.get(), interface.index);
  rtnl_link_set_addr(link.get(), mac.get());
  rtnl_link_macvtap_set_mode(link.get(), MACVLAN_MODE_BRIDGE);
  TRY(Check(rtnl_link_add(socket, link.get(), NLM_F_CREATE | NLM_F_EXCL), "cannot make the macvtap {}", name));
  const auto made = TRY(netlink::LinkByName(socket, name));
  const auto alias = TRY(NewLink());  // set by a second call: the kernel ignores an alias when a link is made
  rtnl_link_set_ifalias(alias.get(), (kAlias + options.sandbox).c_str());
  TRY(Check(rtnl_link_change(socket, made.get(), alias.get(), 0), "cannot mark {}", name));
  TRY(SetUpTap(socket, made.get(), static_cast<unsigned>(interface.config.mtu())));
  if (options.tx_rate != 0) TRY(LimitRate(socket, rtnl_link_get_ifindex(made.get()), options.tx_rate));
  return pod.Do([&] { return OpenMacvtap(name, options.queues); });
}

Result<> Forgiving(Result<> result) {
  if (!result && result.error().code() == Code::kNotFound) return {};
  return result;
}

Result<> RemoveMacvtap(nl_sock* socket, rtnl_link* macvtap) {
  const int parent = rtnl_link_get_link(macvtap);
  const std::string mac = Text(rtnl_link_get_addr(macvtap));
  TRY(Check(rtnl_link_delete(socket, macvtap), "cannot remove {}", rtnl_link_get_name(macvtap)));
  return Forgiving(SetMac(socket, parent, mac));
}

}  // namespace

Model ModelOf(const std::string& internetworking_model) {
  if (internetworking_model == "none") return Model::kNone;
  return internetworking_model == "macvtap" ? Model::kMacvtap : Model::kTcFilter;
}

Result<Attached> Attach(const Namespace& pod, nl_sock* socket, const PodInterface& interface,
                        const AttachOptions& options) {
  Attached attached;
  attached.attachment = {.index = interface.index, .name = interface.config.name(), .mac = interface.config.hwaddr()};
  const auto attach = options.model == Model::kMacvtap ? AttachByMacvtap : AttachByFilter;
  auto queues = attach(pod, socket, interface, options, attached.attachment);
  if (!queues) {
    if (auto taken_back = Detach(socket, attached.attachment); !taken_back) {
      log::Warn("{}", taken_back.error().message());
    }
    return Context(Result<Attached>(tl::unexpected<Error>(queues.error())), "network interface {}",
                   interface.config.name());
  }
  attached.device.mac = interface.config.hwaddr();
  attached.device.taps = *std::move(queues);
  if (options.vhost) attached.device.vhost = OpenVhost(attached.device.taps.size());
  return attached;
}

Result<> Renew(nl_sock* socket, Attachment& attachment, const PodInterface& interface, const AttachOptions& options) {
  const auto tap = netlink::LinkByName(socket, TapName(attachment.index));
  if (!tap) return {};  // the tap has gone with the VM
  const auto mtu = static_cast<unsigned>(interface.config.mtu());
  if (rtnl_link_get_mtu(tap->get()) != mtu) TRY(SetUpTap(socket, tap->get(), mtu));
  if (attachment.model == Model::kMacvtap) return {};
  LeadIn(socket, interface, tap->get(), options, attachment);
  const int index = rtnl_link_get_ifindex(tap->get());
  if (TRY(RedirectTarget(socket, index)) != interface.index) TRY(Redirect(socket, index, interface.index));
  if (TRY(RedirectTarget(socket, interface.index)) == index) return {};
  if (options.tx_rate != 0) TRY(LimitRate(socket, interface.index, options.tx_rate));
  return Redirect(socket, interface.index, index);
}

Result<> Detach(nl_sock* socket, const Attachment& attachment) {
  Result<> result;
  if (attachment.model == Model::kMacvtap) {
    const auto macvtap = netlink::LinkByName(socket, TapName(attachment.index));
    if (macvtap) {
      result = RemoveMacvtap(socket, macvtap->get());
    } else {
      result = Forgiving(SetMac(socket, attachment.index, attachment.mac));
    }
  } else if (LinkByIndex(socket, attachment.index)) {
    if (attachment.redirected) result = RemoveRedirect(socket, attachment.index);
    if (auto closed = CloseWayIn(socket, attachment.index, attachment.led); result) result = closed;
    if (attachment.limited) {
      auto unlimited = RemoveLimit(socket, attachment.index);
      if (result) result = unlimited;
    }
  }
  return Context(std::move(result), "network interface {}", attachment.name);
}

Result<> RemoveLeftovers(const Namespace& pod, const std::string& sandbox) {
  const auto socket = TRY(pod.Do([] { return netlink::Connect(); }));
  nl_cache* raw = nullptr;
  TRY(Check(rtnl_link_alloc_cache(socket.get(), AF_UNSPEC, &raw), "cannot list the pod's interfaces"));
  const Owned<nl_cache> links(raw);
  Result<> result;
  for (nl_object* object = nl_cache_get_first(raw); object != nullptr; object = nl_cache_get_next(object)) {
    auto* link = reinterpret_cast<rtnl_link*>(object);
    const int index = rtnl_link_get_ifindex(link);
    const char* alias = rtnl_link_get_ifalias(link);
    Result<> removed;
    if (IsTapName(rtnl_link_get_name(link))) {
      if (alias != nullptr && alias == kAlias + sandbox) removed = RemoveMacvtap(socket.get(), link);
    } else {
      auto target = RedirectTarget(socket.get(), index);
      // A tap that still exists is open in another VM.
      if (target && *target > 0 && LinkByIndex(socket.get(), *target)) continue;
      removed = RemoveRedirect(socket.get(), index);
      if (removed) removed = RemoveLimit(socket.get(), index);
    }
    if (!removed) result = Context(std::move(removed), "network interface {}", rtnl_link_get_name(link));
  }
  return result;
}

void RemoveLeftoversAt(const std::string& path, const std::string& sandbox) {
  if (path.empty()) return;
  const auto pod = Namespace::Open(path);
  if (!pod) return;          // what was in the namespace has gone with it
  if (!CanReturn()) return;  // a user namespace has made it, and it goes with that
  if (auto removed = RemoveLeftovers(*pod, sandbox); !removed) {
    log::Warn("cannot clean up in {}: {}", path, removed.error().message());
  }
}

}  // namespace kata::sandbox::network
