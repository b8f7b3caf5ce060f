// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/child.h"
#include "base/files.h"

namespace kata::sandbox {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kMountinfo[] =
    "30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    "32 30 0:28 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n"
    "33 30 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 30 0:29 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 30 0:30 / /mnt/with\\040space rw - cgroup cgroup rw,memory\n"
    "bad line\n";

TEST(CgroupPaths, HierarchiesOfMountinfo) {
  const auto hierarchies = ParseHierarchies(kMountinfo);
  ASSERT_EQ(hierarchies.size(), 4U);
  EXPECT_TRUE(hierarchies[0].unified);
  EXPECT_EQ(hierarchies[0].mount_point, "/sys/fs/cgroup/unified");
  EXPECT_THAT(hierarchies[1].controllers, ElementsAre("name=systemd"));
  EXPECT_THAT(hierarchies[2].controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_EQ(hierarchies[2].root, "/docker/abc");
  EXPECT_EQ(hierarchies[3].mount_point, "/mnt/with space");
}

TEST(CgroupPaths, OwnCgroups) {
  const auto own = ParseOwnCgroups("9:name=systemd:/s\n4:cpu,cpuacct:/a:b\n0::/u\n\nbad");
  EXPECT_EQ(own.at("name=systemd"), "/s");
  EXPECT_EQ(own.at("cpu"), "/a:b");
  EXPECT_EQ(own.at("cpuacct"), "/a:b");
  EXPECT_EQ(own.at(""), "/u");
}

TEST(CgroupPaths, WhatTheSpecMeans) {
  EXPECT_EQ(*CgroupPath("", "c1", false), "c1");
  EXPECT_EQ(*CgroupPath("/a/b", "c1", false), "/a/b");
  EXPECT_EQ(*CgroupPath("a/b", "c1", false), "a/b");
  EXPECT_EQ(*CgroupPath("system.slice:docker:abc", "c1", true), "/system.slice/docker-abc.scope");
  EXPECT_EQ(*CgroupPath("user-1000-x.slice:libpod:abc", "c1", true),
            "/user.slice/user-1000.slice/user-1000-x.slice/libpod-abc.scope");
  EXPECT_EQ(*CgroupPath(":kata:abc", "c1", true), "/system.slice/kata-abc.scope");
  EXPECT_EQ(*CgroupPath("-.slice::abc", "c1", true), "/abc.scope");
  EXPECT_EQ(*CgroupPath("kubepods.slice::pod.slice", "c1", true), "/kubepods.slice/pod.slice");
  EXPECT_EQ(*CgroupPath("", "c1", true), "/system.slice/kata-c1.scope");
}

TEST(CgroupPaths, WrongSystemdForms) {
  for (const char* wrong : {"/a/b", "a:b", "a.slice:b:", "a.slice:b/../c:d", "a.slice:b:c/d", "../x.slice:b:c",
                            "a--b.slice:c:d", "noslice:c:d"}) {
    const auto path = CgroupPath(wrong, "c1", true);
    ASSERT_FALSE(path) << wrong << " gave " << *path;
    EXPECT_EQ(path.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(path.error().message(), HasSubstr("linux.cgroupsPath"));
  }
}

TEST(CgroupPaths, PlanIsBelowOwnCgroupUnlessAbsolute) {
  const std::vector<Hierarchy> hierarchies = {
      {.mount_point = "/nowhere/cpu", .root = "/", .controllers = {"cpu"}},
      {.mount_point = "/nowhere/memory", .root = "/docker/abc", .controllers = {"memory"}},
  };
  const std::map<std::string, std::string> own = {{"cpu", "/me"}, {"memory", "/docker/abc/me"}};
  EXPECT_THAT(PlanCgroups(hierarchies, own, "c1").leaves, ElementsAre("/nowhere/cpu/me/c1", "/nowhere/memory/me/c1"));
  const CgroupPlan plan = PlanCgroups(hierarchies, own, "/a/c1");
  EXPECT_THAT(plan.leaves, ElementsAre("/nowhere/cpu/a/c1", "/nowhere/memory/a/c1"));
  EXPECT_THAT(plan.missing,
              ElementsAre("/nowhere/cpu/a", "/nowhere/cpu/a/c1", "/nowhere/memory/a", "/nowhere/memory/a/c1"));
}

TEST(CgroupPaths, PlanNeverLeavesTheMountPoint) {
  const std::vector<Hierarchy> hierarchies = {{.mount_point = "/nowhere", .root = "/", .controllers = {"cpu"}}};
  const std::map<std::string, std::string> own = {{"cpu", "/me"}};
  EXPECT_THAT(PlanCgroups(hierarchies, own, "/../../etc/x").leaves, ElementsAre("/nowhere/etc/x"));
  EXPECT_THAT(PlanCgroups(hierarchies, own, "../../x").leaves, ElementsAre("/nowhere/me/x"));
  EXPECT_THAT(PlanCgroups(hierarchies, own, "/").leaves, IsEmpty());
}

TEST(Cgroups, MadeEnteredAndRemovedOnThisHost) {
  const std::string name = fmt::format("/kata-test-{}/inner", getpid());
  auto plan = PlanHostCgroups(name);
  ASSERT_TRUE(plan) << plan.error().message();
  ASSERT_FALSE(plan->leaves.empty());
  EXPECT_EQ(plan->missing.size(), 2 * plan->leaves.size());
  const auto leaves = MakeHostCgroups(*plan);
  EXPECT_EQ(leaves, plan->leaves);

  Command command;
  command.argv = {"sleep", "1000"};
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  EnterCgroups(leaves, child->pid());
  auto now = CgroupsOf(child->pid());
  ASSERT_TRUE(now);
  EXPECT_EQ(*now, leaves);

  // With a process inside, nothing goes.
  EXPECT_TRUE(std::filesystem::exists(leaves.front()));
  child->End();
  RemoveCgroups(plan->missing);
  for (const std::string& directory : plan->missing) EXPECT_FALSE(std::filesystem::exists(directory)) << directory;
  RemoveCgroups(plan->missing);  // what has gone is no error
}

TEST(Cgroups, OnesOfStrangersStay) {
  const std::string name = fmt::format("/kata-test-strangers-{}", getpid());
  auto plan = PlanHostCgroups(name);
  ASSERT_TRUE(plan);
  const auto leaves = MakeHostCgroups(*plan);
  ASSERT_FALSE(leaves.empty());
  const std::string stranger = leaves.front() + "/stranger";
  ASSERT_TRUE(std::filesystem::create_directory(stranger));
  RemoveCgroups(plan->missing);
  EXPECT_TRUE(std::filesystem::exists(stranger));
  ASSERT_EQ(rmdir(stranger.c_str()), 0);
  RemoveCgroups(plan->missing);
  EXPECT_FALSE(std::filesystem::exists(leaves.front()));
}

TEST(Cgroups, AHostWithoutWritableOnesIsNoError) {
  const std::vector<Hierarchy> hierarchies = {{.mount_point = "/proc", .root = "/", .controllers = {"cpu"}}};
  const CgroupPlan plan{.leaves = {"/proc/kata-test"}, .missing = {"/proc/kata-test"}};
  EXPECT_THAT(MakeCgroups(plan, hierarchies), IsEmpty());
}

}  // namespace
}  // namespace kata::sandbox
