// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/dan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/files.h"

namespace kata::sandbox::network {
namespace {

using ::testing::HasSubstr;

constexpr char kGood[] = R"({"netns": "/run/netns/x", "devices": [
  {"name": "eth0", "guest_mac": "02:00:00:00:00:31",
   "device": {"type": "host-tap", "tap_name": "tap0", "queue_num": 2, "queue_size": 256},
   "network_info": {
     "interface": {"ip_addresses": ["10.0.0.2/24", "fd00::2/64"], "mtu": 1450, "ntype": "tuntap", "flags": 128},
     "routes": [{"dest": "10.9.0.0/16", "gateway": "10.0.0.1", "source": "10.0.0.2", "scope": 0},
                {"dest": "default", "gateway": "fd00::1"}],
     "neighbors": [{"ip_address": "10.0.0.1", "hardware_addr": "02:00:00:00:00:01"}]}}]})";

std::string Replaced(std::string_view from, std::string_view to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Dan, IsRead) {
  const auto dan = ParseDan(kGood);
  ASSERT_TRUE(dan) << dan.error().message();
  EXPECT_EQ(dan->netns, "/run/netns/x");
  ASSERT_EQ(dan->taps.size(), 1U);
  EXPECT_EQ(dan->taps[0].tap, "tap0");
  EXPECT_EQ(dan->taps[0].queues, 2U);
  const types::Interface& eth0 = dan->network.interfaces.at(0).config;
  EXPECT_EQ(eth0.name(), "eth0");
  EXPECT_EQ(eth0.hwaddr(), "02:00:00:00:00:31");
  EXPECT_EQ(eth0.mtu(), 1450U);
  EXPECT_EQ(eth0.raw_flags(), 128U);
  EXPECT_EQ(eth0.ipaddresses(1).address(), "fd00::2");
  EXPECT_EQ(eth0.ipaddresses(1).mask(), "64");
  EXPECT_EQ(eth0.ipaddresses(1).family(), types::v6);
  ASSERT_EQ(dan->network.routes.size(), 2U);
  EXPECT_EQ(dan->network.routes[0].dest(), "10.9.0.0/16");
  EXPECT_EQ(dan->network.routes[0].source(), "10.0.0.2");
  EXPECT_EQ(dan->network.routes[1].dest(), "");
  EXPECT_EQ(dan->network.routes[1].family(), types::v6);
  EXPECT_EQ(dan->network.neighbors.at(0).state(), 128);
}

TEST(Dan, IsCheckedStrictly) {
  const std::vector<std::array<std::string_view, 3>> cases = {
      {"\"/run/netns/x\"", "\"netns/x\"", "netns is no absolute path"},
      {"\"/run/netns/x\"", "7", "netns is a number"},
      {"\"name\": \"eth0\"", "\"name\": \"a/b\"", "name is no name of an interface"},
      {"\"name\": \"eth0\"", "\"name\": \"lo\"", "name is no name of an interface"},
      {"\"name\": \"eth0\"", "\"name\": \"sixteen-letters-\"", "name is no name of an interface"},
      {"02:00:00:00:00:31", "01:00:00:00:00:31", "guest_mac is no hardware address"},
      {"02:00:00:00:00:31", "02:00:00:00:31", "guest_mac is no hardware address"},
      {"host-tap", "vhost-user", "vhost-user devices are not supported"},
      {"host-tap", "host", "a device is vhost-user or host-tap"},
      {"\"tap0\"", "\"\"", "tap_name is no name of an interface"},
      {"\"queue_num\": 2", "\"queue_num\": 65", "queue_num is 65, more than 64"},
      {"\"queue_num\": 2", "\"queue_num\": -1", "queue_num is a number"},
      {"\"queue_size\": 256", "\"queue_size\": 99999", "queue_size is 99999"},
      {"1450", "70000", "mtu is 70000"},
      {"10.0.0.2/24", "10.0.0.256/24", "is no IP address"},
      {"10.0.0.2/24", "10.0.0.2/33", "is no IP address"},
      {"\"10.9.0.0/16\"", "\"example.org\"", "eth0: route: dest: \"example.org\" is no IP address"},
      {"\"dest\": \"default\", \"gateway\": \"fd00::1\"", "\"scope\": 0", "neither dest nor gateway"},
      {"\"02:00:00:00:00:01\"", "\"x\"", "eth0: neighbor: hardware_addr is no hardware address"},
      {"[{\"dest\"", "[7, {\"dest\"", "an entry of routes is no object"},
  };
  for (const auto& [from, to, message] : cases) {
    const auto dan = ParseDan(Replaced(from, to));
    ASSERT_FALSE(dan) << to;
    EXPECT_THAT(dan.error().message(), HasSubstr(std::string(message)));
  }
  for (const char* text : {"", "[]", "{\"devices\": {}}", "{\"devices\": [7]}"}) EXPECT_FALSE(ParseDan(text)) << text;
  std::string many = "{\"devices\": [";
  for (int i = 0; i < 33; ++i) many += i == 0 ? "{}" : ",{}";
  EXPECT_THAT(ParseDan(many + "]}").error().message(), HasSubstr("more than 32"));
  // Every truncated file is an error, and does not crash the parser.
  const std::string good = kGood;
  for (size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(ParseDan(good.substr(0, length)));
}

TEST(Dan, IsLookedForByTheSandboxsId) {
  std::string directory = ::testing::TempDir() + "/dan_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  EXPECT_FALSE(LoadDan("", "s1")->has_value());
  EXPECT_FALSE(LoadDan(directory + "/nowhere", "s1")->has_value());
  EXPECT_FALSE(LoadDan(directory, "s1")->has_value());
  std::ofstream(directory + "/s1.json") << kGood;
  EXPECT_TRUE(LoadDan(directory, "s1")->has_value());
  std::ofstream(directory + "/s1.json") << "{}";
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(LoadDan(directory, "s1")->has_value());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("/s1.json has no devices"));
  std::ofstream(directory + "/s1.json") << "{";
  EXPECT_THAT(LoadDan(directory, "s1").error().message(), HasSubstr("/s1.json: it is no JSON"));
  EXPECT_TRUE(RemoveTree(directory));
}

}  // namespace
}  // namespace kata::sandbox::network
