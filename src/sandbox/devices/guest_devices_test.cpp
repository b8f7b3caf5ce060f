// SPDX-License-Identifier: Apache-2.0
#include "sandbox/devices/guest_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

namespace kata::sandbox {
namespace {

using ::testing::HasSubstr;

class GuestDevicesTest : public ::testing::Test {
 protected:
  GuestDevicesTest() : disks_(std::make_shared<Disks>(io_.get_executor(), nullptr, MountNamespaces()), "c1", true) {}

  void Rule(bool allow, const char* type, int64_t major, int64_t minor, const char* access = "rwm") {
    grpc::LinuxDeviceCgroup& rule = *resources().add_devices();
    rule.set_allow(allow);
    rule.set_type(type);
    rule.set_major(major);
    rule.set_minor(minor);
    rule.set_access(access);
  }
  void Device(const char* path, const char* type, int64_t major, int64_t minor) {
    grpc::LinuxDevice& device = *request_.mutable_oci()->mutable_linux()->add_devices();
    device.set_path(path);
    device.set_type(type);
    device.set_major(major);
    device.set_minor(minor);
  }
  grpc::LinuxResources& resources() { return *request_.mutable_oci()->mutable_linux()->mutable_resources(); }
  std::string Paths() const {
    std::string paths;
    for (const auto& device : request_.oci().linux().devices()) paths += device.path() + " ";
    return paths;
  }
  std::string Rules() {
    std::string rules;
    for (const auto& rule : resources().devices()) {
      rules += fmt::format("{}{}{}:{} ", rule.allow() ? "+" : "-", rule.type(), (rule.major)(), (rule.minor)());
    }
    return rules;
  }

  asio::io_context io_;
  ContainerDisks disks_;
  grpc::CreateContainerRequest request_;
};

TEST_F(GuestDevicesTest, WhatTheGuestHasItselfStays) {
  Rule(false, "a", -1, -1);
  Device("/dev/null2", "c", 1, 3);
  Device("/dev/fuse", "c", 10, 229);
  Device("/dev/net/tun", "u", 10, 200);
  Device("/dev/pipe", "p", 0, 0);
  ASSERT_TRUE(TranslateDevices(disks_, request_));
  EXPECT_EQ(Paths(), "/dev/null2 /dev/fuse /dev/net/tun /dev/pipe ");
  EXPECT_EQ(request_.devices_size(), 0);
  Device("/dev/dri/card0", "c", 226, 0);
  const auto refused = TranslateDevices(disks_, request_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.error().message(), HasSubstr("linux.devices[4] (/dev/dri/card0): "));
}

TEST_F(GuestDevicesTest, APrivilegedContainerGetsWhatMakesSense) {
  Rule(false, "a", -1, -1);
  Rule(true, "a", -1, -1);
  Device("/dev/fuse", "c", 10, 229);
  Device("/dev/mem", "c", 1, 1);
  Device("/dev/sda", "b", 8, 0);
  ASSERT_TRUE(TranslateDevices(disks_, request_));
  EXPECT_EQ(Paths(), "/dev/fuse ");
  EXPECT_TRUE(disks_.empty());
}

TEST_F(GuestDevicesTest, WhatARuleNamesIsMeantAlsoThen) {
  Rule(true, "a", -1, -1);
  Rule(true, "b", 8, 4095);
  Rule(true, "c", 226, 0);
  Device("/dev/none", "b", 8, 4095);
  EXPECT_THAT(TranslateDevices(disks_, request_).error().message(), HasSubstr("the host has no block device 8:4095"));
  request_.mutable_oci()->mutable_linux()->clear_devices();
  Device("/dev/dri/card0", "c", 226, 0);
  EXPECT_FALSE(TranslateDevices(disks_, request_));
}

TEST_F(GuestDevicesTest, ABlockDeviceThatNeitherTheHostNorARuleKnowsIsANode) {
  Rule(false, "a", -1, -1);
  Rule(true, "b", 8, -1);
  Device("/dev/none", "b", 8, 4095);
  const auto translated = TranslateDevices(disks_, request_);
  ASSERT_TRUE(translated) << translated.error().message();
  EXPECT_EQ(Paths(), "/dev/none ");
  EXPECT_TRUE(disks_.empty());
  TranslateRules(disks_.nodes(), resources());
  EXPECT_EQ(Rules(), "-a-1:-1 ");
}

TEST_F(GuestDevicesTest, ABlockDeviceThatNoRuleLetsItReadIsANode) {
  Rule(false, "a", -1, -1);
  Rule(true, "b", 7, 0, "w");
  Device("/dev/own", "b", 7, 0);
  const auto translated = TranslateDevices(disks_, request_);
  ASSERT_TRUE(translated) << translated.error().message();
  EXPECT_EQ(Paths(), "/dev/own ");
  EXPECT_TRUE(disks_.empty());
}

TEST_F(GuestDevicesTest, TheLastRuleSaysWhoMayWrite) {
  EXPECT_FALSE(MayWrite(resources(), {8, 16}));
  Rule(true, "a", -1, -1);
  EXPECT_TRUE(MayWrite(resources(), {8, 16}));
  Rule(false, "b", 8, -1, "w");
  EXPECT_FALSE(MayWrite(resources(), {8, 16}));
  EXPECT_TRUE(MayWrite(resources(), {9, 16}));
  Rule(true, "b", 8, 16, "r");
  EXPECT_FALSE(MayWrite(resources(), {8, 16}));
  Rule(true, "c", 8, 16);
  EXPECT_FALSE(MayWrite(resources(), {8, 16}));
  Rule(true, "b", 8, 16, "rw");
  EXPECT_TRUE(MayWrite(resources(), {8, 16}));
}

TEST_F(GuestDevicesTest, RulesForOtherDevicesOfTheHostGo) {
  Rule(false, "a", -1, -1);
  Rule(true, "c", -1, -1, "m");
  Rule(true, "b", -1, -1, "m");
  Rule(true, "c", 1, 3);
  Rule(true, "c", 10, -1);
  Rule(true, "c", 136, -1);
  Rule(true, "c", 226, 0);
  Rule(true, "c", -1, 3);
  Rule(true, "b", 8, 0);
  Rule(true, "b", 8, -1);
  Rule(true, "b", 259, 3);
  auto& limits = *resources().mutable_blockio();
  for (const int64_t minor : {0, 3}) {
    auto* limit = limits.add_throttlereadbpsdevice();
    limit->set_major(259);
    limit->set_minor(minor);
  }
  TranslateRules({{259, 3}}, resources());
  EXPECT_EQ(Rules(), "-a-1:-1 +c-1:-1 +b-1:-1 +c1:3 +c10:-1 +c136:-1 +b259:3 ");
  ASSERT_EQ(limits.throttlereadbpsdevice_size(), 1);
  EXPECT_EQ((limits.throttlereadbpsdevice(0).minor)(), 3);
}

}  // namespace
}  // namespace kata::sandbox
