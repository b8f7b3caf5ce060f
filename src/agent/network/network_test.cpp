// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/neighbour.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "agent/network/interfaces.h"
#include "agent/network/routes.h"
#include "base/files.h"
#include "rtnetlink/rtnetlink.h"

namespace kata::agent {
namespace {

constexpr char kMac[] = "02:00:00:aa:bb:01";

// Each test in a network namespace of its own, with the pair v0 (with kMac) and v1.
class NetworkTest : public ::testing::Test {
 protected:
  NetworkTest() {
    EXPECT_EQ(unshare(CLONE_NEWNET), 0);
    auto socket = netlink::Connect();
    EXPECT_TRUE(socket);
    EXPECT_EQ(rtnl_link_veth_add(socket->get(), "v0", "v1", getpid()), 0);
    auto link = netlink::LinkByName(socket->get(), "v0");
    EXPECT_TRUE(link);
    netlink::Owned<rtnl_link> change(rtnl_link_alloc());
    nl_addr* mac = nullptr;
    EXPECT_EQ(nl_addr_parse(kMac, AF_LLC, &mac), 0);
    rtnl_link_set_addr(change.get(), mac);
    nl_addr_put(mac);
    EXPECT_EQ(rtnl_link_change(socket->get(), link->get(), change.get(), 0), 0);
    EXPECT_TRUE(UpdateInterface(Named("v1")));
  }

  static types::Interface Named(const std::string& device) {
    types::Interface interface;
    interface.set_device(device);
    return interface;
  }

  static types::Interface Wanted() {
    types::Interface wanted;
    wanted.set_hwaddr("02:00:00:AA:BB:01");
    wanted.set_name("eth0");
    wanted.set_mtu(1400);
    auto* v4 = wanted.add_ipaddresses();
    v4->set_address("10.1.2.3");
    v4->set_mask("24");
    auto* v6 = wanted.add_ipaddresses();
    v6->set_family(types::v6);
    v6->set_address("fd00::3");
    v6->set_mask("64");
    return wanted;
  }

  static types::Interface Find(const std::string& name) {
    const auto list = ListInterfaces();
    EXPECT_TRUE(list);
    for (const auto& interface : list->interfaces()) {
      if (interface.name() == name) return interface;
    }
    return {};
  }

  static std::vector<std::string> Addresses(const types::Interface& interface) {
    std::vector<std::string> all;
    for (const auto& address : interface.ipaddresses()) {
      if (!address.address().starts_with("fe80")) all.push_back(address.address() + "/" + address.mask());
    }
    std::sort(all.begin(), all.end());
    return all;
  }
};

TEST_F(NetworkTest, LoopbackComesUp) {
  EXPECT_EQ(Find("lo").raw_flags() & IFF_UP, 0U);
  ASSERT_TRUE(SetUpLoopback());
  EXPECT_NE(Find("lo").raw_flags() & IFF_UP, 0U);
  EXPECT_EQ(Addresses(Find("lo")), (std::vector<std::string>{"127.0.0.1/8", "::1/128"}));
}

TEST_F(NetworkTest, InterfaceIsFoundByMacAndGetsEverything) {
  const auto updated = UpdateInterface(Wanted());
  ASSERT_TRUE(updated) << updated.error().message();
  EXPECT_EQ(updated->name(), "eth0");
  const auto found = Find("eth0");
  EXPECT_EQ(found.hwaddr(), kMac);
  EXPECT_EQ(found.mtu(), 1400U);
  EXPECT_EQ(found.type(), "veth");
  EXPECT_NE(found.raw_flags() & IFF_UP, 0U);
  EXPECT_EQ(found.raw_flags() & IFF_NOARP, 0U);
  EXPECT_EQ(Addresses(found), (std::vector<std::string>{"10.1.2.3/24", "fd00::3/64"}));
}

TEST_F(NetworkTest, Ipv6IsSwitchedOffAndOn) {
  auto without = Wanted();
  without.mutable_ipaddresses()->RemoveLast();
  without.set_ipv6_disabled(true);
  ASSERT_TRUE(UpdateInterface(without));
  EXPECT_EQ(ReadFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").value(), "1\n");
  const auto with = UpdateInterface(Wanted());
  ASSERT_TRUE(with) << with.error().message();
  EXPECT_EQ(ReadFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").value(), "0\n");
}

TEST_F(NetworkTest, UpdatingAgainReplacesAddresses) {
  ASSERT_TRUE(UpdateInterface(Wanted()));
  auto changed = Wanted();
  changed.clear_ipaddresses();
  auto* address = changed.add_ipaddresses();
  address->set_address("192.168.7.8/16");
  address->set_mask("16");
  changed.set_raw_flags(IFF_NOARP);
  ASSERT_TRUE(UpdateInterface(changed));
  EXPECT_EQ(Addresses(Find("eth0")), (std::vector<std::string>{"192.168.7.8/16"}));
  EXPECT_NE(Find("eth0").raw_flags() & IFF_NOARP, 0U);
}

TEST_F(NetworkTest, NamesCanBeSwapped) {
  auto wanted = Wanted();
  wanted.set_name("v1");
  const auto updated = UpdateInterface(wanted);
  ASSERT_TRUE(updated) << updated.error().message();
  EXPECT_EQ(Find("v1").hwaddr(), kMac);
  EXPECT_EQ(ListInterfaces()->interfaces_size(), 3) << "the other one is there still, under another name";
}

TEST_F(NetworkTest, BadInterfacesAreRefused) {
  auto wanted = Wanted();
  wanted.set_hwaddr("02:00:00:00:00:99");
  EXPECT_EQ(UpdateInterface(wanted).error().code(), Code::kNotFound);
  EXPECT_EQ(UpdateInterface(Named("nosuch")).error().code(), Code::kNotFound);
  EXPECT_EQ(UpdateInterface(Named("a-name-that-is-too-long")).error().code(), Code::kInvalidArgument);
  wanted = Wanted();
  for (const char* name : {"../x", "a b", "a-name-that-is-too-long", ".."}) {
    wanted.set_name(name);
    EXPECT_EQ(UpdateInterface(wanted).error().code(), Code::kInvalidArgument) << name;
  }
  for (const char* mask : {"33", "-1", "x", "255.255.0.0"}) {
    wanted = Wanted();
    wanted.mutable_ipaddresses(0)->set_mask(mask);
    EXPECT_EQ(UpdateInterface(wanted).error().code(), Code::kInvalidArgument) << mask;
  }
  for (const char* address : {"", "host.example", "1.2.3.4.5", "fd00::1"}) {
    wanted = Wanted();
    wanted.mutable_ipaddresses(0)->set_address(address);
    EXPECT_EQ(UpdateInterface(wanted).error().code(), Code::kInvalidArgument) << address;
  }
  wanted = Wanted();
  wanted.set_mtu(UINT64_MAX);
  EXPECT_FALSE(UpdateInterface(wanted));
}

TEST_F(NetworkTest, RoutesAreReplacedAndThoseOfTheKernelStay) {
  ASSERT_TRUE(UpdateInterface(Wanted()));
  grpc::Routes wanted;
  // The gateway's route first: the order of the message does not matter.
  auto* by_default = wanted.add_routes();
  by_default->set_gateway("10.9.0.1");
  by_default->set_device("eth0");
  auto* link = wanted.add_routes();
  link->set_dest("10.9.0.0/24");
  link->set_device("eth0");
  link->set_source("10.1.2.3");
  link->set_scope(RT_SCOPE_LINK);
  auto* v6 = wanted.add_routes();
  v6->set_family(types::v6);
  v6->set_gateway("fd00::1");
  v6->set_device("eth0");
  v6->set_mtu(1300);
  const auto updated = UpdateRoutes(wanted);
  ASSERT_TRUE(updated) << updated.error().message();
  ASSERT_EQ(updated->routes_size(), 3);
  bool seen_default = false;
  bool seen_link = false;
  bool seen_v6 = false;
  for (const auto& route : updated->routes()) {
    EXPECT_EQ(route.device(), "eth0");
    if (route.gateway() == "10.9.0.1") seen_default = route.dest().empty();
    if (route.dest() == "10.9.0.0/24") seen_link = route.source() == "10.1.2.3" && route.scope() == RT_SCOPE_LINK;
    if (route.gateway() == "fd00::1") seen_v6 = route.family() == types::v6 && route.mtu() == 1300;
  }
  EXPECT_TRUE(seen_default);
  EXPECT_TRUE(seen_link);
  EXPECT_TRUE(seen_v6);

  grpc::Routes fewer;
  *fewer.add_routes() = *link;
  ASSERT_TRUE(UpdateRoutes(fewer));
  const auto left = ListRoutes();
  ASSERT_TRUE(left);
  ASSERT_EQ(left->routes_size(), 1);
  EXPECT_EQ(left->routes(0).dest(), "10.9.0.0/24");
  // The kernel's own route to 10.1.2.0/24 stays, so that a gateway in that network can still be reached.
  grpc::Routes through;
  auto* route = through.add_routes();
  route->set_gateway("10.1.2.1");
  route->set_device("eth0");
  EXPECT_TRUE(UpdateRoutes(through));
}

TEST_F(NetworkTest, RoutesMayLeadNowhere) {
  ASSERT_TRUE(UpdateInterface(Wanted()));
  grpc::Routes wanted;
  for (const uint32_t type : {RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT}) {
    for (const auto& [family, net] : {std::pair(types::v4, "10.{}.0.0/16"), std::pair(types::v6, "fd{}::/64")}) {
      auto* route = wanted.add_routes();
      route->set_family(family);
      route->set_dest(fmt::format(fmt::runtime(net), 60 + type));
      route->set_device("lo");
      route->set_type(type);
    }
  }
  for (int i = 0; i < 2; ++i) {
    const auto updated = UpdateRoutes(wanted);
    ASSERT_TRUE(updated) << updated.error().message();
    ASSERT_EQ(updated->routes_size(), 6);
    for (const auto& route : updated->routes()) {
      EXPECT_NE(route.dest().find(std::to_string(60 + route.type())), std::string::npos) << route.dest();
      EXPECT_EQ(route.device(), "");
    }
  }
  EXPECT_EQ(UpdateRoutes({})->routes_size(), 0);
  wanted.mutable_routes(0)->set_type(RTN_NAT);
  EXPECT_EQ(UpdateRoutes(wanted).error().code(), Code::kInvalidArgument);
}

TEST_F(NetworkTest, BadRoutesAreRefused) {
  ASSERT_TRUE(UpdateInterface(Wanted()));
  grpc::Routes wanted;
  auto* route = wanted.add_routes();
  route->set_gateway("172.31.0.1");
  route->set_device("eth0");
  const auto unreachable = UpdateRoutes(wanted);
  ASSERT_FALSE(unreachable);
  EXPECT_NE(unreachable.error().message().find("172.31.0.1"), std::string::npos) << unreachable.error().message();
  // The kernel's errno is reported even where libnl has no error code for it.
  EXPECT_NE(unreachable.error().message().find(ErrnoText(ENETUNREACH)), std::string::npos)
      << unreachable.error().message();
  EXPECT_EQ(unreachable.error().sys(), ENETUNREACH);
  route->set_device("nosuch");
  EXPECT_EQ(UpdateRoutes(wanted).error().code(), Code::kNotFound);
  route->set_device("eth0");
  route->set_gateway("nonsense");
  EXPECT_EQ(UpdateRoutes(wanted).error().code(), Code::kInvalidArgument);
}

TEST_F(NetworkTest, NeighboursArePermanent) {
  ASSERT_TRUE(UpdateInterface(Wanted()));
  grpc::ARPNeighbors neighbors;
  auto* neighbor = neighbors.add_arpneighbors();
  neighbor->mutable_toipaddress()->set_address("10.1.2.99");
  neighbor->set_device("eth0");
  neighbor->set_lladdr("02:00:00:00:00:63");
  ASSERT_TRUE(AddNeighbors(neighbors));
  neighbor->set_lladdr("02:00:00:00:00:64");
  ASSERT_TRUE(AddNeighbors(neighbors)) << "and may be replaced";

  auto socket = netlink::Connect();
  nl_cache* raw = nullptr;
  ASSERT_EQ(rtnl_neigh_alloc_cache(socket->get(), &raw), 0);
  netlink::Owned<nl_cache> cache(raw);
  auto address = netlink::ParseAddress("10.1.2.99", AF_INET);
  auto link = netlink::LinkByName(socket->get(), "eth0");
  ASSERT_TRUE(address && link);
  netlink::Owned<rtnl_neigh> found(rtnl_neigh_get(cache.get(), rtnl_link_get_ifindex(link->get()), address->get()));
  ASSERT_TRUE(found);
  EXPECT_EQ(rtnl_neigh_get_state(found.get()), NUD_PERMANENT);
  char text[32];
  EXPECT_STREQ(nl_addr2str(rtnl_neigh_get_lladdr(found.get()), text, sizeof text), "02:00:00:00:00:64");

  neighbor->set_lladdr("not a mac");
  EXPECT_FALSE(AddNeighbors(neighbors));
  neighbor->set_device("nosuch");
  EXPECT_EQ(AddNeighbors(neighbors).error().code(), Code::kNotFound);
}

TEST_F(NetworkTest, StatsCountWhatPassed) {
  ASSERT_TRUE(UpdateInterface(Wanted()));
  const auto stats = InterfaceStats();
  ASSERT_TRUE(stats);
  ASSERT_EQ(stats->size(), 2U) << "without loopback";
  EXPECT_TRUE(std::any_of(stats->begin(), stats->end(), [](const auto& s) { return s.name() == "eth0"; }));
}

}  // namespace
}  // namespace kata::agent
