// SPDX-License-Identifier: Apache-2.0
// Builds its own netlink messages: libnl's classifiers know neither the cookie that marks this runtime's filters, nor
// rates above 2 GB/s.
#include "sandbox/network/traffic.h"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kata::sandbox::network {
namespace {

using netlink::Check;

// Marks of this runtime ("ka"): the cookie of its actions, the priority of its filters, the handle of its discipline.
constexpr std::string_view kCookie = "kata";
constexpr uint32_t kPriority = 0x6b61;
constexpr uint32_t kLimitHandle = 0x6b610000;
constexpr uint32_t kIngressHandle = 0xffff0000;  // the parent of filters on received packets
// The kernel answers EBUSY while somebody else changes the filters of the same link.
constexpr int kBusyTries = 5;
constexpr int kBusyPause = 10;  // milliseconds, longer each time
constexpr int kDumpTries = 5;

struct Deleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
  void operator()(nl_cb* callbacks) const { nl_cb_put(callbacks); }
};
using Message = std::unique_ptr<nl_msg, Deleter>;
using Fill = std::function<int(nl_msg*)>;

struct Header {
  int type = 0;
  int flags = 0;
  int link = 0;
  uint32_t parent = 0;
  uint32_t handle = 0;
  uint32_t info = 0;
};

Result<Message> NewMessage(const Header& header, const Fill& fill) {
  Message message(nlmsg_alloc_simple(header.type, header.flags));
  tcmsg tc{};
  tc.tcm_ifindex = header.link;
  tc.tcm_parent = header.parent;
  tc.tcm_handle = header.handle;
  tc.tcm_info = header.info;
  if (!message || nlmsg_append(message.get(), &tc, sizeof tc, NLMSG_ALIGNTO) < 0 || (fill && fill(message.get()) < 0)) {
    return Fail(Code::kResourceExhausted, "no memory for a netlink message");
  }
  return message;
}

constexpr char kOtherModel[] = "set internetworking_model = \"macvtap\" in [runtime]";

// Sends a request and waits for the reply.
Result<> Change(nl_sock* socket, const Header& header, const Fill& fill, const char* what) {
  for (int attempt = 1;; ++attempt) {
    Message message = TRY(NewMessage(header, fill));
    const int error = nl_send_sync(socket, message.release());
    if (error != -NLE_BUSY || attempt == kBusyTries) return Check(error, "cannot {}", what);
    poll(nullptr, 0, kBusyPause * attempt);
  }
}

// Of a request to make something: says what to do if the kernel lacks it, which it answers with ENOENT.
Result<> Explain(Result<> made, const char* modules, const char* otherwise) {
  if (made || made.error().code() != Code::kNotFound) return made;
  return Fail(Code::kUnimplemented, "{}: this host's kernel lacks it; load {}, or {}", made.error().message(), modules,
              otherwise);
}

// Calls visit for each object of a list.
Result<> Dump(nl_sock* socket, Header header, const std::function<void(nlmsghdr*)>& visit, const char* what) {
  header.flags = NLM_F_DUMP;
  const std::unique_ptr<nl_cb, Deleter> callbacks(nl_cb_alloc(NL_CB_DEFAULT));
  if (!callbacks) return Fail(Code::kResourceExhausted, "no memory for a netlink message");
  nl_cb_set(
      callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM,
      [](nl_msg* message, void* argument) -> int {
        (*static_cast<const std::function<void(nlmsghdr*)>*>(argument))(nlmsg_hdr(message));
        return NL_OK;
      },
      const_cast<std::function<void(nlmsghdr*)>*>(&visit));
  for (int attempt = 1;; ++attempt) {
    const Message message = TRY(NewMessage(header, nullptr));
    int error = nl_send_auto(socket, message.get());
    if (error >= 0) error = nl_recvmsgs(socket, callbacks.get());
    // The list changed during the dump. In the next attempt visit sees the same objects again.
    if (error != -NLE_DUMP_INTR || attempt == kDumpTries) return Check(error, "cannot list {}", what);
  }
}

int Put(nl_msg* message, int type, std::string_view text) {
  return nla_put(message, type, static_cast<int>(text.size()), text.data());
}

// A u32 selector with one key. One that is all zero matches everything.
std::array<char, sizeof(tc_u32_sel) + sizeof(tc_u32_key)> SelectorOf(const tc_u32_key& key) {
  tc_u32_sel selector{};
  selector.flags = TC_U32_TERMINAL;
  selector.nkeys = 1;
  std::array<char, sizeof(tc_u32_sel) + sizeof(tc_u32_key)> match{};
  std::memcpy(match.data(), &selector, sizeof selector);
  std::memcpy(match.data() + sizeof selector, &key, sizeof key);
  return match;
}

// Fills in a u32 classifier for packets to an IPv4 address, without an action: they go on to the kernel.
int FillPass(nl_msg* message, uint32_t address) {
  tc_u32_key key{};
  key.mask = ~0U;
  key.val = address;
  key.off = 16;  // of the destination in an IPv4 header
  const auto match = SelectorOf(key);
  nla_put_string(message, TCA_KIND, "u32");
  nlattr* options = nla_nest_start(message, TCA_OPTIONS);
  const int error = nla_put(message, TCA_U32_SEL, match.size(), match.data());
  if (options == nullptr) return -NLE_NOMEM;
  nla_nest_end(message, options);
  return error;
}

// Fills in a u32 classifier that everything matches, and mirred as its action (tc-u32(8), tc-mirred(8)).
int FillRedirect(nl_msg* message, int to) {
  const auto match = SelectorOf({});
  tc_mirred mirred{};
  mirred.action = TC_ACT_STOLEN;
  mirred.eaction = TCA_EGRESS_REDIR;
  mirred.ifindex = static_cast<uint32_t>(to);

  nla_put_string(message, TCA_KIND, "u32");
  nlattr* options = nla_nest_start(message, TCA_OPTIONS);
  nla_put(message, TCA_U32_SEL, match.size(), match.data());
  nlattr* actions = nla_nest_start(message, TCA_U32_ACT);
  nlattr* action = nla_nest_start(message, 1);
  nla_put_string(message, TCA_ACT_KIND, "mirred");
  Put(message, TCA_ACT_COOKIE, kCookie);
  nlattr* parameters = nla_nest_start(message, TCA_ACT_OPTIONS);
  const int error = nla_put(message, TCA_MIRRED_PARMS, sizeof mirred, &mirred);
  if (options == nullptr || actions == nullptr || action == nullptr || parameters == nullptr) return -NLE_NOMEM;
  nla_nest_end(message, parameters);
  nla_nest_end(message, action);
  nla_nest_end(message, actions);
  nla_nest_end(message, options);
  return error;
}

bool IsKind(const nlattr* kind, std::string_view wanted) {
  if (kind == nullptr) return false;
  const std::string_view found(static_cast<const char*>(nla_data(kind)), static_cast<size_t>(nla_len(kind)));
  return found.substr(0, found.find('\0')) == wanted;
}

template <int kMax>
bool Nested(nlattr** attributes, nlattr* of) {
  return of != nullptr && nla_parse_nested(attributes, kMax, of, nullptr) >= 0;
}

// The link to which a filter leads, if it is one of this runtime's.
std::optional<int> TargetOf(nlmsghdr* header) {
  nlattr* filter[TCA_MAX + 1];
  nlattr* u32[TCA_U32_MAX + 1];
  nlattr* actions[TCA_ACT_MAX_PRIO + 1];
  nlattr* action[TCA_ACT_MAX + 1];
  nlattr* mirred[TCA_MIRRED_MAX + 1];
  if (nlmsg_parse(header, sizeof(tcmsg), filter, TCA_MAX, nullptr) < 0 || !IsKind(filter[TCA_KIND], "u32") ||
      !Nested<TCA_U32_MAX>(u32, filter[TCA_OPTIONS]) || !Nested<TCA_ACT_MAX_PRIO>(actions, u32[TCA_U32_ACT]) ||
      !Nested<TCA_ACT_MAX>(action, actions[1]) || !IsKind(action[TCA_ACT_COOKIE], kCookie) ||
      !Nested<TCA_MIRRED_MAX>(mirred, action[TCA_ACT_OPTIONS]) || mirred[TCA_MIRRED_PARMS] == nullptr ||
      nla_len(mirred[TCA_MIRRED_PARMS]) < static_cast<int>(sizeof(tc_mirred))) {
    return std::nullopt;
  }
  tc_mirred parameters{};
  std::memcpy(&parameters, nla_data(mirred[TCA_MIRRED_PARMS]), sizeof parameters);
  return static_cast<int>(parameters.ifindex);
}

struct Filters {
  int ours = -1;  // the index of the link to which this runtime's filter leads; -1: none
  bool others = false;
};

Result<Filters> FiltersOf(nl_sock* socket, int link) {
  Filters filters;
  const auto visit = [&](nlmsghdr* header) {
    const auto* tc = static_cast<const tcmsg*>(nlmsg_data(header));
    if (tc->tcm_ifindex != link) return;
    if (const auto target = TargetOf(header)) filters.ours = *target;
    if (tc->tcm_info >> 16U != kPriority) filters.others = true;
  };
  TRY(Dump(socket, {.type = RTM_GETTFILTER, .link = link, .parent = kIngressHandle}, visit, "filters"));
  return filters;
}

// Whether the link has a discipline of this kind at this parent, with this handle unless that is 0.
Result<bool> HasDiscipline(nl_sock* socket, int link, uint32_t parent, std::string_view kind, uint32_t handle) {
  bool found = false;
  const auto visit = [&](nlmsghdr* header) {
    const auto* tc = static_cast<const tcmsg*>(nlmsg_data(header));
    if (tc->tcm_ifindex != link || tc->tcm_parent != parent || (handle != 0 && tc->tcm_handle != handle)) return;
    nlattr* discipline[TCA_MAX + 1];
    if (nlmsg_parse(header, sizeof(tcmsg), discipline, TCA_MAX, nullptr) < 0) return;
    found |= IsKind(discipline[TCA_KIND], kind);
  };
  TRY(Dump(socket, {.type = RTM_GETQDISC, .link = link}, visit, "queueing disciplines"));
  return found;
}

int FillLimit(nl_msg* message, uint64_t bits_per_second) {
  const uint64_t rate = std::max<uint64_t>(bits_per_second / 8, 1);
  // A bucket of 20 ms, but at least one unsegmented packet (GSO) of the guest, which would otherwise never pass.
  const uint64_t burst = std::clamp<uint64_t>(rate / 50, 128U << 10U, 64U << 20U);
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  tc_tbf_qopt options{};
  options.rate.rate = static_cast<uint32_t>(std::min(rate, kMost));
  options.rate.linklayer = TC_LINKLAYER_ETHERNET;
  // The longest queue: the bucket and 100 ms more.
  options.limit = static_cast<uint32_t>(std::min(rate / 10 + burst, kMost));
  nla_put_string(message, TCA_KIND, "tbf");
  nlattr* nest = nla_nest_start(message, TCA_OPTIONS);
  if (nest == nullptr) return -NLE_NOMEM;
  nla_put(message, TCA_TBF_PARMS, sizeof options, &options);
  nla_put_u32(message, TCA_TBF_BURST, static_cast<uint32_t>(burst));
  const int error = rate > kMost ? nla_put_u64(message, TCA_TBF_RATE64, rate) : 0;
  nla_nest_end(message, nest);
  return error;
}

}  // namespace

Result<> Redirect(nl_sock* socket, int from, int to) {
  TRY(RemoveRedirect(socket, from));
  const Header ingress{.type = RTM_NEWQDISC,
                       .flags = NLM_F_CREATE | NLM_F_EXCL,
                       .link = from,
                       .parent = TC_H_INGRESS,
                       .handle = kIngressHandle};
  const Fill kind = [](nl_msg* message) { return nla_put_string(message, TCA_KIND, "ingress"); };
  // An existing discipline of somebody else serves as well.
  auto made = Explain(Change(socket, ingress, kind, "add an ingress queueing discipline"), "the module sch_ingress",
                      kOtherModel);
  if (!made && made.error().code() != Code::kAlreadyExists) return made;
  const Header filter{.type = RTM_NEWTFILTER,
                      .flags = NLM_F_CREATE | NLM_F_EXCL,
                      .link = from,
                      .parent = kIngressHandle,
                      .info = kPriority << 16U | htons(ETH_P_ALL)};
  const Fill fill = [to](nl_msg* message) { return FillRedirect(message, to); };
  return Explain(Change(socket, filter, fill, "add a filter that redirects"), "the modules cls_u32 and act_mirred",
                 kOtherModel);
}

Result<> LetPass(nl_sock* socket, int from, uint32_t address) {
  const Header filter{.type = RTM_NEWTFILTER,
                      .flags = NLM_F_CREATE | NLM_F_EXCL,
                      .link = from,
                      .parent = kIngressHandle,
                      .info = (kPriority - 1) << 16U | htons(ETH_P_IP)};
  const Fill fill = [address](nl_msg* message) { return FillPass(message, address); };
  return Change(socket, filter, fill, "add a filter that lets pass");
}

Result<int> RedirectTarget(nl_sock* socket, int from) { return TRY(FiltersOf(socket, from)).ours; }

Result<> RemoveRedirect(nl_sock* socket, int from) {
  const Filters filters = TRY(FiltersOf(socket, from));
  if (filters.ours < 0) return {};
  if (!filters.others && TRY(HasDiscipline(socket, from, TC_H_INGRESS, "ingress", 0))) {
    const Header ingress{.type = RTM_DELQDISC, .link = from, .parent = TC_H_INGRESS, .handle = kIngressHandle};
    return Change(socket, ingress, nullptr, "remove the ingress queueing discipline");
  }
  const Header filter{
      .type = RTM_DELTFILTER, .link = from, .parent = kIngressHandle, .info = kPriority << 16U | htons(ETH_P_ALL)};
  return Change(socket, filter, nullptr, "remove a filter");
}

Result<> LimitRate(nl_sock* socket, int link, uint64_t bits_per_second) {
  TRY(RemoveLimit(socket, link));
  const Header root{.type = RTM_NEWQDISC,
                    .flags = NLM_F_CREATE | NLM_F_EXCL,
                    .link = link,
                    .parent = TC_H_ROOT,
                    .handle = kLimitHandle};
  const Fill fill = [=](nl_msg* message) { return FillLimit(message, bits_per_second); };
  return Explain(Change(socket, root, fill, "limit its rate"), "the module sch_tbf", "set no limits of the rate");
}

Result<> RemoveLimit(nl_sock* socket, int link) {
  if (!TRY(HasDiscipline(socket, link, TC_H_ROOT, "tbf", kLimitHandle))) return {};
  return Change(socket, {.type = RTM_DELQDISC, .link = link, .parent = TC_H_ROOT}, nullptr, "remove its rate's limit");
}

}  // namespace kata::sandbox::network
