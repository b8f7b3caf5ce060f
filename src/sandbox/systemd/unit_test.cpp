// SPDX-License-Identifier: Apache-2.0
#include "sandbox/systemd/unit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata::sandbox {
namespace {

TEST(Units, WhatAPathMeans) {
  struct {
    const char* path;
    const char* name;
    const char* slice;
    const char* cgroup;
  } constexpr kCases[] = {
      {"system.slice:docker:abc", "docker-abc.scope", "system.slice", "/system.slice/docker-abc.scope"},
      {"user-1000-x.slice:libpod:abc", "libpod-abc.scope", "user-1000-x.slice",
       "/user.slice/user-1000.slice/user-1000-x.slice/libpod-abc.scope"},
      {":kata:abc", "kata-abc.scope", "system.slice", "/system.slice/kata-abc.scope"},
      {"-.slice::abc", "abc.scope", "-.slice", "/abc.scope"},
      {"", "kata-c1.scope", "system.slice", "/system.slice/kata-c1.scope"},
  };
  for (const auto& one : kCases) {
    const auto unit = ParseUnit(one.path, "c1");
    ASSERT_TRUE(unit) << one.path << ": " << unit.error().message();
    EXPECT_EQ(unit->name, one.name);
    EXPECT_EQ(unit->slice, one.slice);
    EXPECT_EQ(CgroupOf(*unit), one.cgroup);
  }
}

TEST(Units, WhatSystemdWouldNotTake) {
  const std::string long_name = "a.slice:b:" + std::string(250, 'c');
  for (const std::string& wrong :
       {std::string("/a/b"), std::string("a:b"), std::string("a.slice:b:"), std::string("a.slice:b/../c:d"),
        std::string("a.slice:b:c/d"), std::string("../x.slice:b:c"), std::string("a--b.slice:c:d"),
        std::string("-a.slice:c:d"), std::string("a-.slice:c:d"), std::string(".slice:c:d"), std::string("noslice:c:d"),
        std::string("a.slice:b:c.slice"), std::string("a.slice:b c:d"), std::string("a.slice:b:c@d"),
        std::string("a.slice:.b:c"), std::string("a.slice:b:c\n"), std::string("a b.slice:b:c"), long_name}) {
    const auto unit = ParseUnit(wrong, "c1");
    ASSERT_FALSE(unit) << wrong << " gave " << unit->name;
    EXPECT_EQ(unit.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(unit.error().message(), testing::HasSubstr("linux.cgroupsPath"));
  }
}

TEST(Units, TheForm) {
  EXPECT_TRUE(HasUnitForm("a.slice:b:c"));
  EXPECT_TRUE(HasUnitForm("::"));
  EXPECT_FALSE(HasUnitForm("/a:b:c"));
  EXPECT_FALSE(HasUnitForm("a:b"));
  EXPECT_FALSE(HasUnitForm(""));
}

}  // namespace
}  // namespace kata::sandbox
