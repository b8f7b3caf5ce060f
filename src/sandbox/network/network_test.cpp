// SPDX-License-Identifier: Apache-2.0
// Uses real namespaces. iproute2 makes the links, as engines do.
#include "sandbox/network/network.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstdio>

#include "base/child.h"
#include "base/files.h"
#include "base/user_namespace.h"
#include "sandbox/network/tap.h"
#include "sandbox/network/traffic.h"
#include "sandbox/network/way_in.h"

namespace kata::sandbox::network {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

ino_t OwnNamespace() {
  struct stat info {};
  EXPECT_EQ(stat("/proc/self/ns/net", &info), 0);
  return info.st_ino;
}

// A namespace with the veth eth0 (address 10.1.2.3/24), whose other end, "peer", is in it as well.
class NetworkTest : public ::testing::Test {
 protected:
  NetworkTest() {
    EXPECT_TRUE(pod_);
    Ip("link add eth0 address 02:00:00:00:00:05 mtu 1400 type veth peer name peer");
    Ip("address add 10.1.2.3/24 dev eth0");
    Ip("address add fd00::3/64 dev eth0 nodad");
    Ip("link set eth0 up");
    Ip("link set peer up");
    socket_ = std::move(*pod_->Do([] { return netlink::Connect(); }));
  }

  // A command in the namespace; its output, and whether it succeeded.
  std::string Run(const std::string& command, bool must_succeed = true) {
    std::string output;
    EXPECT_TRUE(pod_->Do([&]() -> Result<> {
      FILE* pipe = popen((command + " 2>&1").c_str(), "re");
      char buffer[4096];
      for (size_t count; (count = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, count);
      const int status = pclose(pipe);
      EXPECT_TRUE(status == 0 || !must_succeed) << command << ": " << output;
      return {};
    }));
    return output;
  }
  void Ip(const std::string& arguments) { Run("ip " + arguments); }
  std::string Qdiscs(const std::string& link) { return Run("tc qdisc show dev " + link); }
  std::string Filters(const std::string& link) { return Run("tc filter show dev " + link + " parent ffff:", false); }
  // Names and addresses. The kernel notices a carrier a moment later.
  std::string Links() { return Run("ip -brief link | awk '{print $1, $3}'"); }

  PodNetwork Look() {
    auto found = Scan(socket_.get());
    EXPECT_TRUE(found) << found.error().message();
    return found.value_or(PodNetwork());
  }
  const PodInterface& Eth0(const PodNetwork& network) {
    for (const PodInterface& interface : network.interfaces) {
      if (interface.config.name() == "eth0") return interface;
    }
    ADD_FAILURE() << "no eth0";
    return network.interfaces.front();
  }
  Attached AttachEth0(const AttachOptions& options) {
    const PodNetwork now = Look();
    auto attached = Attach(*pod_, socket_.get(), Eth0(now), options);
    EXPECT_TRUE(attached) << attached.error().message();
    return attached ? *std::move(attached) : Attached();
  }

  asio::io_context context_;
  std::optional<Namespace> pod_ = *Namespace::New();
  netlink::Owned<nl_sock> socket_;
  AttachOptions options_{.sandbox = "s1"};
};

// It could not come back into the host's network, so it does not leave: it stays where it goes.
TEST(NamespaceTest, RootOfAUserNamespaceEntersForGood) {
  const auto user_namespace = MakeUserNamespace("", {{0, 0, 65536}}, {{0, 0, 65536}});
  ASSERT_TRUE(user_namespace);
  auto child = Fork({.fds = {-1, -1, STDERR_FILENO, user_namespace->get()}}, [] {
    const auto hosts = Namespace::Open("/proc/self/ns/net");
    if (!CanReturn() || setns(3, CLONE_NEWUSER) != 0 || CanReturn()) _exit(2);
    const auto made = Namespace::New();
    const ino_t before = OwnNamespace();
    if (!made || *made->IsHosts() || !*hosts->IsHosts()) _exit(3);
    const auto work = []() -> Result<ino_t> { return OwnNamespace(); };
    const auto denied = made->Do(work);
    if (denied || denied.error().sys() != EPERM || OwnNamespace() != before) _exit(4);
    if (!made->Enter() || OwnNamespace() == before || *made->Do(work) != OwnNamespace()) _exit(5);
    _exit(0);
  });
  ASSERT_TRUE(child);
  EXPECT_EQ(child->Wait()->Shell(), 0);
}

TEST_F(NetworkTest, WorkIsDoneThereAndOnlyThere) {
  const ino_t own = OwnNamespace();
  const auto there = pod_->Do([]() -> Result<ino_t> { return OwnNamespace(); });
  EXPECT_NE(*there, own);
  const auto failed = pod_->Do([]() -> Result<int> { return Fail(Code::kAborted, "no"); });
  EXPECT_EQ(failed.error().code(), Code::kAborted);
  EXPECT_EQ(OwnNamespace(), own);
  EXPECT_FALSE(*pod_->IsHosts());
  EXPECT_TRUE(*Namespace::Open("/proc/self/ns/net")->IsHosts());
  EXPECT_EQ(Namespace::Open("/proc/self/ns/mnt").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Namespace::Open("/dev/null").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Namespace::Open("/nowhere").error().code(), Code::kNotFound);
}

TEST_F(NetworkTest, Scans) {
  Ip("route add default via 10.1.2.1");
  Ip("route add 10.7.0.0/16 dev eth0 src 10.1.2.3 mtu 1300 metric 7");
  Ip("route add 10.9.9.9/32 via 10.1.2.9");
  Ip("-6 route add default via fd00::1 dev eth0");
  Ip("neigh add 10.1.2.7 lladdr 02:00:00:00:00:07 dev eth0 nud permanent");
  Ip("neigh add 10.1.2.8 lladdr 02:00:00:00:00:08 dev eth0 nud reachable");
  const PodNetwork now = Look();
  // The other end has only an automatic link-local address.
  ASSERT_EQ(now.interfaces.size(), 1U);
  const types::Interface& eth0 = now.interfaces.front().config;
  EXPECT_EQ(eth0.name(), "eth0");
  EXPECT_EQ(eth0.hwaddr(), "02:00:00:00:00:05");
  EXPECT_EQ(eth0.mtu(), 1400U);
  EXPECT_EQ(eth0.type(), "veth");
  std::vector<std::string> addresses;
  for (const auto& address : eth0.ipaddresses()) addresses.push_back(address.address() + "/" + address.mask());
  EXPECT_THAT(addresses, ::testing::UnorderedElementsAre("10.1.2.3/24", "fd00::3/64"));
  std::vector<std::string> routes;
  for (const auto& route : now.routes) {
    routes.push_back(fmt::format("{}|{}|{}|{}|{}|{}", route.dest(), route.gateway(), route.source(), route.mtu(),
                                 route.scope(), route.priority()));
  }
  EXPECT_THAT(routes, ::testing::UnorderedElementsAre("10.7.0.0/16||10.1.2.3|1300|253|7", "|10.1.2.1||0|0|0",
                                                      "10.9.9.9/32|10.1.2.9||0|0|0", "|fd00::1||0|0|1024"));
  EXPECT_EQ(routes.front().substr(0, 11), "10.7.0.0/16");
  ASSERT_EQ(now.neighbors.size(), 1U);
  EXPECT_EQ(now.neighbors.front().lladdr(), "02:00:00:00:00:07");
}

TEST_F(NetworkTest, RoutesThatLeadNowhere) {
  Ip("route add unreachable 10.66.0.0/16");
  Ip("route add prohibit 10.67.0.0/16 metric 5");
  Ip("-6 route add blackhole fd66::/64");
  Ip("route add throw 10.68.0.0/16");
  const PodNetwork now = Look();
  std::vector<std::string> routes;
  for (const auto& route : now.routes) {
    routes.push_back(fmt::format("{}|{}|{}|{}", route.type(), route.dest(), route.priority(), route.device()));
  }
  EXPECT_THAT(routes,
              ::testing::UnorderedElementsAre("7|10.66.0.0/16|0|lo", "8|10.67.0.0/16|5|lo", "6|fd66::/64|1024|lo"));
  EXPECT_THAT(now.losses, ElementsAre("the route to 10.68.0.0/16 is not in the guest: it is of the type throw"));
}

TEST_F(NetworkTest, WhatARouteLosesIsTold) {
  Ip("route add 10.71.0.0/16 via 10.1.2.1 advmss 1000 mtu 1200");
  Ip("route add default nexthop via 10.1.2.1 nexthop via 10.1.2.2");
  const PodNetwork now = Look();
  EXPECT_EQ(now.routes.size(), 2U);
  EXPECT_THAT(now.losses,
              ::testing::UnorderedElementsAre("the route to 10.71.0.0/16 is in the guest without its advmss 1000",
                                              "the route to default has several next hops: the guest gets the first"));
}

TEST_F(NetworkTest, PeersOfAddresses) {
  Ip("address flush dev eth0");
  Ip("address add 10.178.0.1 peer 10.178.0.2 dev eth0");
  Ip("address add 10.3.0.1 peer 10.4.0.2/24 dev eth0");
  Ip("address add 10.4.0.9/16 dev eth0");
  Ip("address add fd78::1 peer fd78::2 dev eth0 nodad");
  Ip("route add default via 10.178.0.2");
  // The kernel makes the route to an IPv6 peer in a worker of its own, a moment after the address.
  PodNetwork now = Look();
  for (int tries = 0; now.routes.size() < 4 && tries < 10000; ++tries) now = Look();
  ASSERT_EQ(now.interfaces.size(), 1U);
  std::vector<std::string> addresses;
  for (const auto& address : now.interfaces.front().config.ipaddresses()) {
    addresses.push_back(address.address() + "/" + address.mask());
  }
  EXPECT_THAT(addresses, ::testing::UnorderedElementsAre("10.178.0.1/32", "10.3.0.1/32", "10.4.0.9/16", "fd78::1/128"));
  std::vector<std::string> routes;
  for (const auto& route : now.routes) {
    routes.push_back(fmt::format("{}|{}|{}|{}", route.dest(), route.gateway(), route.source(), route.scope()));
  }
  EXPECT_THAT(routes, ::testing::UnorderedElementsAre("10.178.0.2/32||10.178.0.1|253", "10.4.0.0/24||10.3.0.1|253",
                                                      "fd78::2/128|||0", "|10.178.0.2||0"));
  EXPECT_EQ(now.routes.back().gateway(), "10.178.0.2");
}

TEST_F(NetworkTest, KindsOfLinks) {
  Ip("link add mv0 link eth0 type macvlan mode bridge");
  Ip("link add mt0 link eth0 type macvtap mode bridge");
  Ip("tuntap add tap0 mode tap");
  Ip("tuntap add tun0 mode tun");
  Ip("link add br0 type bridge");
  int number = 10;
  for (const char* link : {"mv0", "mt0", "tap0", "tun0", "br0"}) {
    Ip(fmt::format("address add 10.2.{}.1/24 dev {}", number++, link));
  }
  const PodNetwork now = Look();
  std::vector<std::string> kinds;
  for (const PodInterface& interface : now.interfaces) kinds.push_back(interface.config.type());
  EXPECT_THAT(kinds, ::testing::UnorderedElementsAre("veth", "macvlan", "macvtap", "tap"));
  EXPECT_THAT(now.unsupported, ::testing::UnorderedElementsAre(
                                   HasSubstr("unsupported network interface tun0: a link of the kind tun"),
                                   HasSubstr("unsupported network interface br0: a link of the kind bridge")));
  // Kinds of links that not every kernel has.
  EXPECT_EQ(EndpointType("ipvlan", true), "ipvlan");
  EXPECT_EQ(EndpointType("vlan", true), "vlan");
  EXPECT_EQ(EndpointType("", true), "physical");
  EXPECT_EQ(EndpointType("device", true), "physical");
  EXPECT_EQ(EndpointType("netkit", true), std::nullopt);
  EXPECT_EQ(EndpointType("", false), std::nullopt);
}

TEST_F(NetworkTest, NamesOfTaps) {
  EXPECT_EQ(TapName(12), "tap12_kata");
  EXPECT_TRUE(IsTapName("tap12_kata"));
  for (const char* other : {"tap_kata", "tap1_kat", "tapx_kata", "eth0", "tap1_kata2", ""})
    EXPECT_FALSE(IsTapName(other));
}

TEST_F(NetworkTest, AttachesByFiltersAndTakesBack) {
  const std::string before = Links();
  options_.queues = 3;
  options_.tx_rate = 8000000;
  options_.rx_rate = 40000000000;  // more bytes per second than 32 bits can hold
  {
    const Attached attached = AttachEth0(options_);
    EXPECT_EQ(attached.device.mac, "02:00:00:00:00:05");
    EXPECT_EQ(attached.device.taps.size(), 3U);
    const std::string tap = TapName(attached.attachment.index);
    EXPECT_THAT(Run("ip -d link show " + tap), HasSubstr("mtu 1400"));
    EXPECT_THAT(Run("ip -d link show " + tap), HasSubstr("multi_queue"));
    EXPECT_THAT(Run("ip address show " + tap), Not(HasSubstr("fe80")));
    EXPECT_THAT(Filters("eth0"), HasSubstr("mirred (Egress Redirect to device " + tap));
    EXPECT_THAT(Filters(tap), HasSubstr("mirred (Egress Redirect to device eth0"));
    EXPECT_THAT(Qdiscs("eth0"), HasSubstr("tbf 6b61: root"));
    EXPECT_THAT(Qdiscs("eth0"), HasSubstr("rate 8Mbit"));
    EXPECT_THAT(Qdiscs(tap), HasSubstr("rate 40Gbit"));
    EXPECT_THAT(Run("ip address show eth0"), HasSubstr("10.1.2.3/24"));
    // Another VM can neither attach the link nor remove anything.
    const PodNetwork now = Look();
    const auto second = Attach(*pod_, socket_.get(), Eth0(now), options_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
    EXPECT_THAT(second.error().message(), HasSubstr("network interface eth0: it belongs to another VM"));
    ASSERT_TRUE(RemoveLeftovers(*pod_, "other"));
    EXPECT_THAT(Filters("eth0"), HasSubstr(tap));
    EXPECT_THAT(Qdiscs("eth0"), HasSubstr("tbf"));

    ASSERT_TRUE(Detach(socket_.get(), attached.attachment));
    EXPECT_THAT(Qdiscs("eth0"), Not(HasSubstr("ingress")));
    EXPECT_THAT(Qdiscs("eth0"), Not(HasSubstr("tbf")));
    EXPECT_TRUE(Detach(socket_.get(), attached.attachment)) << "again";
  }
  EXPECT_EQ(Links(), before);
}

TEST_F(NetworkTest, FiltersOfOthersStay) {
  Run("tc qdisc add dev eth0 ingress");
  Run("tc filter add dev eth0 parent ffff: pref 9 protocol ip u32 match ip dst 10.1.2.250 action mirred egress "
      "redirect dev peer");
  const Attached attached = AttachEth0(options_);
  EXPECT_THAT(Filters("eth0"), HasSubstr("_kata"));
  ASSERT_TRUE(Detach(socket_.get(), attached.attachment));
  EXPECT_THAT(Filters("eth0"), Not(HasSubstr("kata")));
  EXPECT_THAT(Filters("eth0"), HasSubstr("Redirect to device peer"));
}

TEST_F(NetworkTest, AFailureHalfWayLeavesNothing) {
  const std::string before = Links();
  Run("tc qdisc add dev eth0 root handle 5: tbf rate 1mbit burst 10k latency 50ms");
  options_.tx_rate = 1000000;
  const PodNetwork now = Look();
  EXPECT_EQ(Attach(*pod_, socket_.get(), Eth0(now), options_).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(Links(), before);
  EXPECT_THAT(Qdiscs("eth0"), HasSubstr("tbf 5:"));
  EXPECT_THAT(Qdiscs("eth0"), Not(HasSubstr("ingress")));
}

TEST_F(NetworkTest, LeftoversGo) {
  options_.tx_rate = 1000000;
  { const Attached killed = AttachEth0(options_); }  // the descriptors are closed, without Detach
  EXPECT_THAT(Filters("eth0"), HasSubstr("cookie 6b617461"));
  ASSERT_TRUE(RemoveLeftovers(*pod_, "s1"));
  EXPECT_THAT(Qdiscs("eth0"), Not(HasSubstr("ingress")));
  EXPECT_THAT(Qdiscs("eth0"), Not(HasSubstr("tbf")));
  // Leftovers do not keep the next VM from attaching the link.
  { const Attached killed = AttachEth0(options_); }
  const Attached next = AttachEth0(options_);
  EXPECT_THAT(Filters("eth0"), HasSubstr(TapName(next.attachment.index)));
}

TEST_F(NetworkTest, ConnectionsOfThePodReachTheGuestByItsTap) {
  Ip("tuntap add tap0 mode tap");
  Ip("address add 10.0.2.100/24 dev tap0");
  Ip("link set tap0 up");
  const auto tap0 = [](const PodNetwork& network) {
    return *std::find_if(network.interfaces.begin(), network.interfaces.end(),
                         [](const auto& interface) { return interface.config.name() == "tap0"; });
  };
  PodNetwork now = Look();
  options_.way_in = true;
  auto attached = Attach(*pod_, socket_.get(), tap0(now), options_);
  ASSERT_TRUE(attached) << attached.error().message();
  const std::string tap = TapName(attached->attachment.index);
  const std::string led = "10.0.2.100 dev " + tap + " src 169.254.107.97";
  EXPECT_THAT(Run("ip route get 10.0.2.100"), HasSubstr(led));
  EXPECT_THAT(Run("ip neigh show dev " + tap), HasSubstr("10.0.2.100 lladdr " + tap0(now).config.hwaddr()));
  EXPECT_THAT(Run("tc filter show dev " + tap + " ingress"), HasSubstr("match a9fe6b61/ffffffff at 16"));
  // A second time changes nothing, and an address that has come since is led there, too.
  ASSERT_TRUE(Renew(socket_.get(), attached->attachment, tap0(now), options_));
  Ip("address add 10.0.3.1/24 dev tap0");
  now = Look();
  ASSERT_TRUE(Renew(socket_.get(), attached->attachment, tap0(now), options_));
  EXPECT_THAT(Run("ip route get 10.0.3.1"), HasSubstr("10.0.3.1 dev " + tap + " src 169.254.107.97"));
  EXPECT_THAT(attached->attachment.led, ElementsAre("10.0.2.100", "10.0.3.1"));
  // The guest answers to an address that is no other's.
  const auto link = netlink::LinkByName(socket_.get(), tap);
  AddWayBack(tap0(now), link->get(), now);
  EXPECT_EQ(now.routes.back().dest(), "169.254.107.97/32");
  EXPECT_EQ(now.routes.back().device(), "tap0");
  EXPECT_THAT(Run("ip link show " + tap), HasSubstr(now.neighbors.back().lladdr()));
  ASSERT_TRUE(Detach(socket_.get(), attached->attachment));
  EXPECT_THAT(Run("ip route get 10.0.2.100"), HasSubstr("local 10.0.2.100"));
  EXPECT_THAT(Run("ip route get 10.0.3.1"), HasSubstr("local 10.0.3.1"));
}

TEST_F(NetworkTest, ALinkThatCameBackIsRenewed) {
  Attached attached = AttachEth0(options_);
  Run("tc qdisc del dev eth0 ingress");
  Ip("link set eth0 mtu 1300");
  const PodNetwork now = Look();
  ASSERT_TRUE(Renew(socket_.get(), attached.attachment, Eth0(now), options_));
  const std::string tap = TapName(attached.attachment.index);
  EXPECT_THAT(Filters("eth0"), HasSubstr(tap));
  EXPECT_THAT(Run("ip link show " + tap), HasSubstr("mtu 1300"));
}

TEST_F(NetworkTest, Macvtap) {
  options_.model = Model::kMacvtap;
  options_.queues = 2;
  Attached attached = AttachEth0(options_);
  const std::string tap = TapName(attached.attachment.index);
  EXPECT_EQ(attached.device.taps.size(), 2U);
  EXPECT_THAT(Run("ip link show " + tap), HasSubstr("02:00:00:00:00:05"));
  EXPECT_THAT(Run("ip link show eth0"), Not(HasSubstr("02:00:00:00:00:05")));
  ASSERT_TRUE(Detach(socket_.get(), attached.attachment));
  EXPECT_THAT(Links(), Not(HasSubstr("_kata")));
  EXPECT_THAT(Run("ip link show eth0"), HasSubstr("02:00:00:00:00:05"));

  attached = AttachEth0(options_);
  ASSERT_TRUE(RemoveLeftovers(*pod_, "other"));
  EXPECT_THAT(Links(), HasSubstr(tap));
  ASSERT_TRUE(RemoveLeftovers(*pod_, "s1"));
  EXPECT_THAT(Links(), Not(HasSubstr("_kata")));
  EXPECT_THAT(Run("ip link show eth0"), HasSubstr("02:00:00:00:00:05"));
  options_.rx_rate = 1;
  const PodNetwork now = Look();
  EXPECT_EQ(Attach(*pod_, socket_.get(), Eth0(now), options_).error().code(), Code::kUnimplemented);
}

TEST_F(NetworkTest, TapsOfOthers) {
  Ip("tuntap add mine mode tap");
  const auto open = [&](const std::string& name) { return pod_->Do([&] { return OpenTap(name, 1); }); };
  {
    const auto first = open("mine");
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_EQ(open("mine").error().code(), Code::kAlreadyExists);
  }
  EXPECT_TRUE(open("mine")) << "it is persistent";
  EXPECT_FALSE(open("eth0"));
  EXPECT_EQ(open("nosuch").error().code(), Code::kNotFound);
  EXPECT_FALSE(open("a-name-that-is-too-long-for-a-link"));
}

TEST_F(NetworkTest, CreateAttachesAllAndEndTakesBack) {
  NetworkOptions options;
  options.attach = options_;
  const std::string before = Links();
  const auto fresh = [&] { return Namespace::Of(*pod_->Duplicate()).value(); };
  {
    auto network = Network::Create(context_.get_executor(), options, fresh());
    ASSERT_TRUE(network) << network.error().message();
    EXPECT_TRUE((*network)->VmmNamespace()->valid());
    const auto devices = (*network)->TakeDevices();
    ASSERT_EQ(devices.size(), 1U);
    EXPECT_EQ(devices.front().id, "net0");
    (*network)->End();
    EXPECT_THAT(Qdiscs("eth0"), Not(HasSubstr("ingress")));
  }
  Ip("address add 10.5.0.1/24 dev peer");
  Ip("link add br0 type bridge");
  Ip("address add 10.6.0.1/24 dev br0");
  const auto refused = Network::Create(context_.get_executor(), options, fresh());
  EXPECT_THAT(refused.error().message(), HasSubstr("unsupported network interface br0"));
  options.attach.model = Model::kNone;
  options.vmm_stays_out = true;
  auto none = Network::Create(context_.get_executor(), options, fresh());
  ASSERT_TRUE(none);
  EXPECT_THAT((*none)->TakeDevices(), IsEmpty());
  EXPECT_FALSE((*none)->VmmNamespace()->valid());
}

TEST_F(NetworkTest, TheHostsNetwork) {
  NetworkOptions options;
  const auto hosts = [] { return Namespace::Open("/proc/self/ns/net").value(); };
  for (const bool named : {false, true}) {
    options.host_network = HostNetwork::kRefused;
    auto refused = Network::Create(context_.get_executor(), options, named ? std::optional(hosts()) : std::nullopt);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("the pod wants the host's network, which a VM cannot share"));
    options.host_network = HostNetwork::kLoopbackOnly;
    auto alone = Network::Create(context_.get_executor(), options, named ? std::optional(hosts()) : std::nullopt);
    ASSERT_TRUE(alone);
    EXPECT_THAT((*alone)->TakeDevices(), IsEmpty());
    EXPECT_FALSE(*Namespace::Of(*(*alone)->VmmNamespace())->IsHosts());
  }
}

TEST(NamespaceOfSpec, IsWhatTheSpecSays) {
  grpc::Spec spec;
  EXPECT_FALSE(NamespaceOf(spec)->has_value());
  auto* ns = spec.mutable_linux()->add_namespaces();
  ns->set_type("network");
  const auto fresh = NamespaceOf(spec);
  ASSERT_TRUE(fresh && fresh->has_value());
  EXPECT_FALSE(*(*fresh)->IsHosts());
  ns->set_path("/proc/self/ns/net");
  EXPECT_TRUE(*(**NamespaceOf(spec)).IsHosts());
  ns->set_path("/nowhere/at/all");
  EXPECT_THAT(NamespaceOf(spec).error().message(), HasSubstr("linux.namespaces: cannot open the network namespace"));
}

}  // namespace
}  // namespace kata::sandbox::network
