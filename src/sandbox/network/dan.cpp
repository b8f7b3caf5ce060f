// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/dan.h"

#include <fcntl.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <netlink/addr.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

namespace kata::sandbox::network {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFile = 1U << 20U;
constexpr size_t kMaxEntries = 1024;  // of routes, neighbours and addresses
constexpr uint64_t kMaxQueues = 64;
constexpr uint64_t kMaxMtu = 65535;

// Returns a member of an object; null when there is none. kInvalidArgument: it has another type.
Result<const Json*> Member(const Json& object, const char* name, Json::value_t type) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return nullptr;
  const Json::value_t is = found->is_number_unsigned() ? Json::value_t::number_unsigned : found->type();
  if (is != type) return Fail(Code::kInvalidArgument, "{} is a {}", name, found->type_name());
  return &*found;
}

Result<std::string> TextOf(const Json& object, const char* name) {
  const Json* text = TRY(Member(object, name, Json::value_t::string));
  return text != nullptr ? text->get<std::string>() : "";
}

Result<uint64_t> NumberOf(const Json& object, const char* name, uint64_t by_default, uint64_t max) {
  const Json* number = TRY(Member(object, name, Json::value_t::number_unsigned));
  const uint64_t value = number != nullptr ? number->get<uint64_t>() : by_default;
  if (value > max) return Fail(Code::kInvalidArgument, "{} is {}, more than {}", name, value, max);
  return value;
}

// Returns the objects of a list; empty when there is no list.
Result<std::vector<const Json*>> ObjectsOf(const Json& object, const char* name, size_t most) {
  std::vector<const Json*> objects;
  const Json* list = TRY(Member(object, name, Json::value_t::array));
  if (list == nullptr) return objects;
  if (list->size() > most) return Fail(Code::kInvalidArgument, "{} has more than {} entries", name, most);
  for (const Json& entry : *list) {
    if (!entry.is_object()) return Fail(Code::kInvalidArgument, "an entry of {} is no object", name);
    objects.push_back(&entry);
  }
  return objects;
}

Result<std::string> InterfaceName(const Json& object, const char* key) {
  std::string name = TRY(TextOf(object, key));
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." || name == "lo" ||
      std::any_of(name.begin(), name.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7f || c == '/'; })) {
    return Fail(Code::kInvalidArgument, "{} is no name of an interface", key);
  }
  return name;
}

Result<std::string> Mac(const Json& object, const char* key) {
  static const std::regex pattern("[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}");
  std::string mac = TRY(TextOf(object, key));
  if (mac.size() != 17 || !std::regex_match(mac, pattern)) {
    return Fail(Code::kInvalidArgument, "{} is no hardware address of one station", key);
  }
  return mac;
}

struct Parsed {
  std::string address;
  int prefix = 0;
  types::IPFamily family = types::v4;
};

Result<Parsed> Address(const std::string& text) {
  const auto address = TRY(netlink::ParseAddress(text, AF_UNSPEC));
  Parsed parsed;
  parsed.address = text.substr(0, text.find('/'));
  parsed.prefix = static_cast<int>(nl_addr_get_prefixlen(address.get()));
  parsed.family = nl_addr_get_family(address.get()) == AF_INET6 ? types::v6 : types::v4;
  if (parsed.prefix > (parsed.family == types::v6 ? 128 : 32)) {
    return Fail(Code::kInvalidArgument, "\"{}\" is no IP address: its prefix is too long", text);
  }
  return parsed;
}

Result<> AddRoute(const Json& json, const std::string& device, PodNetwork& network) {
  types::Route route;
  route.set_device(device);
  for (const char* key : {"dest", "gateway", "source"}) {
    const std::string text = TRY(TextOf(json, key));
    if (text.empty() || text == "default") continue;
    const Parsed parsed = TRY(Context(Address(text), "{}", key));
    if (key == std::string_view("dest")) route.set_dest(fmt::format("{}/{}", parsed.address, parsed.prefix));
    if (key == std::string_view("gateway")) route.set_gateway(parsed.address);
    if (key == std::string_view("source")) route.set_source(parsed.address);
    route.set_family(parsed.family);
  }
  if (route.dest().empty() && route.gateway().empty()) {
    return Fail(Code::kInvalidArgument, "it has neither dest nor gateway");
  }
  route.set_scope(static_cast<uint32_t>(TRY(NumberOf(json, "scope", 0, 255))));
  network.routes.push_back(std::move(route));
  return {};
}

Result<> AddNeighbor(const Json& json, const std::string& device, PodNetwork& network) {
  types::ARPNeighbor neighbor;
  neighbor.set_device(device);
  const Parsed parsed = TRY(Address(TRY(TextOf(json, "ip_address"))));
  neighbor.mutable_toipaddress()->set_address(parsed.address);
  neighbor.mutable_toipaddress()->set_family(parsed.family);
  neighbor.set_lladdr(TRY(Mac(json, "hardware_addr")));
  neighbor.set_state(static_cast<int32_t>(TRY(NumberOf(json, "state", NUD_PERMANENT, 0xffff))));
  neighbor.set_flags(static_cast<int32_t>(TRY(NumberOf(json, "flags", 0, 0xff))));
  network.neighbors.push_back(std::move(neighbor));
  return {};
}

Result<> AddInterface(const Json& info, PodInterface& interface) {
  const Json* json = TRY(Member(info, "interface", Json::value_t::object));
  types::Interface& config = interface.config;
  config.set_mtu(1500);
  if (json == nullptr) return {};
  config.set_mtu(TRY(NumberOf(*json, "mtu", 1500, kMaxMtu)));
  config.set_type(TRY(TextOf(*json, "ntype")));
  config.set_raw_flags(static_cast<uint32_t>(TRY(NumberOf(*json, "flags", 0, UINT32_MAX))) & IFF_NOARP);
  const Json* addresses = TRY(Member(*json, "ip_addresses", Json::value_t::array));
  if (addresses == nullptr) return {};
  if (addresses->size() > kMaxEntries) return Fail(Code::kInvalidArgument, "ip_addresses has too many entries");
  for (const Json& text : *addresses) {
    if (!text.is_string()) return Fail(Code::kInvalidArgument, "an entry of ip_addresses is no string");
    const Parsed parsed = TRY(Address(text.get<std::string>()));
    types::IPAddress& added = *config.add_ipaddresses();
    added.set_address(parsed.address);
    added.set_mask(std::to_string(parsed.prefix));
    added.set_family(parsed.family);
  }
  return {};
}

Result<> AddDevice(const Json& json, Dan& dan) {
  PodInterface interface;
  interface.index = static_cast<int>(dan.taps.size()) + 1;
  const std::string name = TRY(InterfaceName(json, "name"));
  DanTap tap;
  tap.mac = TRY(Mac(json, "guest_mac"));
  const Json* device = TRY(Member(json, "device", Json::value_t::object));
  if (device == nullptr) return Fail(Code::kInvalidArgument, "{}: device is missing", name);
  const std::string type = TRY(TextOf(*device, "type"));
  if (type == "vhost-user") return Fail(Code::kUnimplemented, "{}: vhost-user devices are not supported", name);
  if (type != "host-tap") return Fail(Code::kInvalidArgument, "{}: a device is vhost-user or host-tap", name);
  tap.tap = TRY(Context(InterfaceName(*device, "tap_name"), "{}", name));
  tap.queues = static_cast<uint32_t>(std::max<uint64_t>(1, TRY(NumberOf(*device, "queue_num", 1, kMaxQueues))));
  (void)TRY(NumberOf(*device, "queue_size", 256, 1024));

  types::Interface& config = interface.config;
  config.set_device(name);
  config.set_name(name);
  config.set_hwaddr(tap.mac);
  if (const Json* info = TRY(Member(json, "network_info", Json::value_t::object))) {
    TRY(Context(AddInterface(*info, interface), "{}", name));
    for (const Json* route : TRY(ObjectsOf(*info, "routes", kMaxEntries))) {
      TRY(Context(AddRoute(*route, name, dan.network), "{}: route", name));
    }
    for (const Json* neighbor : TRY(ObjectsOf(*info, "neighbors", kMaxEntries))) {
      TRY(Context(AddNeighbor(*neighbor, name, dan.network), "{}: neighbor", name));
    }
  }
  dan.network.links.push_back(interface.index);
  dan.network.interfaces.push_back(std::move(interface));
  dan.taps.push_back(std::move(tap));
  return {};
}

}  // namespace

Result<Dan> ParseDan(std::string_view text) {
  const Json json = TRY(ParseJson(text, kMaxFile));
  if (!json.is_object()) return Fail(Code::kInvalidArgument, "it is no JSON object");
  Dan dan;
  dan.netns = TRY(TextOf(json, "netns"));
  if (!dan.netns.empty() && (dan.netns.front() != '/' || dan.netns.find('\0') != std::string::npos)) {
    return Fail(Code::kInvalidArgument, "netns is no absolute path");
  }
  for (const Json* device : TRY(ObjectsOf(json, "devices", kMaxInterfaces))) {
    TRY(Context(AddDevice(*device, dan), "device {}", dan.taps.size()));
  }
  return dan;
}

Result<std::optional<Dan>> LoadDan(const std::string& dir, const std::string& sandbox) {
  if (dir.empty()) return std::nullopt;
  const auto directory = Open(dir, O_PATH | O_DIRECTORY);
  if (!directory) return std::nullopt;
  const std::string name = sandbox + ".json";
  const auto file = OpenBeneath(directory->get(), name, O_RDONLY);
  if (!file && file.error().code() == Code::kNotFound) return std::nullopt;
  if (!file) return tl::unexpected<Error>(file.error());
  const std::string text = TRY(Context(ReadAll(file->get(), kMaxFile), "{}/{}", dir, name));
  Dan dan = TRY(Context(ParseDan(text), "{}/{}", dir, name));
  if (dan.taps.empty()) log::Warn("{}/{} has no devices: the guest has loopback only", dir, name);
  return dan;
}

}  // namespace kata::sandbox::network
