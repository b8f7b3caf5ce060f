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
  EXPECT_EQ(PlaceOf("", "c1", false)->path, "c1");
  EXPECT_EQ(PlaceOf("/a/b", "c1", false)->path, "/a/b");
  EXPECT_EQ(PlaceOf("a/b", "c1", false)->path, "a/b");
  EXPECT_FALSE(PlaceOf("a.slice:b:c", "c1", false)->unit);
  const auto place = PlaceOf("user-1000.slice:libpod:abc", "c1", true);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->path, "/user.slice/user-1000.slice/libpod-abc.scope");
  ASSERT_TRUE(place->unit);
  EXPECT_EQ(place->unit->name, "libpod-abc.scope");
  EXPECT_EQ(PlaceOf("/a/b", "c1", true).error().code(), Code::kInvalidArgument);
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

// As with runc: on a host with cgroup v2 the caller's cgroup has processes, so the container's is beside it.
TEST(CgroupPaths, ARelativePathIsBesideTheCallerWithVersion2) {
  const std::vector<Hierarchy> version2 = {
      {.mount_point = "/nowhere", .root = "/", .controllers = {}, .unified = true}};
  const auto plan = [&](const char* own) { return PlanCgroups(version2, {{"", own}}, "c1").leaves; };
  EXPECT_THAT(plan("/system.slice/ssh.service"), ElementsAre("/nowhere/system.slice/c1"));
  EXPECT_THAT(plan("/user"), ElementsAre("/nowhere/c1"));
  EXPECT_THAT(plan("/"), ElementsAre("/nowhere/c1"));
  EXPECT_THAT(plan("/../outside"), ElementsAre("/nowhere/c1"));
  EXPECT_THAT(PlanCgroups(version2, {{"", "/a/b"}}, "x/../../../../c1").leaves, ElementsAre("/nowhere/a/c1"));
  EXPECT_THAT(PlanCgroups(version2, {{"", "/a/b"}}, "/x/c1").leaves, ElementsAre("/nowhere/x/c1"));
}

TEST(CgroupPaths, Version2BesideVersion1StartsAtItsMountPoint) {
  const std::vector<Hierarchy> hybrid = {
      {.mount_point = "/nowhere/cpu", .root = "/", .controllers = {"cpu"}},
      {.mount_point = "/nowhere/unified", .root = "/", .controllers = {}, .unified = true}};
  EXPECT_THAT(PlanCgroups(hybrid, {{"cpu", "/me"}, {"", "/me"}}, "c1").leaves,
              ElementsAre("/nowhere/cpu/me/c1", "/nowhere/unified/c1"));
}

TEST(CgroupPaths, LeavesHoldNoOthers) {
  EXPECT_THAT(LeavesOf({"/a", "/a/b", "/a/b/c", "/ab", "/x"}), ElementsAre("/a/b/c", "/ab", "/x"));
}

TEST(CgroupPaths, TheHierarchyOfADirectory) {
  const std::vector<Hierarchy> nested = {{.mount_point = "/c", .root = "/", .controllers = {}, .unified = true},
                                         {.mount_point = "/c/cpu", .root = "/", .controllers = {"cpu"}}};
  EXPECT_EQ(HierarchyOf("/c/cpu/x", nested), &nested[1]);
  EXPECT_EQ(HierarchyOf("/c/cpu", nested), &nested[1]);
  EXPECT_EQ(HierarchyOf("/c/cpux", nested), &nested[0]);
  EXPECT_EQ(HierarchyOf("/d", nested), nullptr);
}

TEST(CgroupPaths, PlanNeverLeavesTheMountPoint) {
  const std::vector<Hierarchy> hierarchies = {{.mount_point = "/nowhere", .root = "/", .controllers = {"cpu"}}};
  const std::map<std::string, std::string> own = {{"cpu", "/me"}};
  EXPECT_THAT(PlanCgroups(hierarchies, own, "/../../etc/x").leaves, ElementsAre("/nowhere/etc/x"));
  EXPECT_THAT(PlanCgroups(hierarchies, own, "../../x").leaves, ElementsAre("/nowhere/me/x"));
  EXPECT_THAT(PlanCgroups(hierarchies, own, "/").leaves, IsEmpty());
}

// Makes a directory with a unique name in each hierarchy of this host, and removes it at the end.
class Cgroups : public ::testing::Test {
 protected:
  ~Cgroups() override {
    for (const std::string& leaf : made_) RemoveCgroups({leaf});
  }

  // Calls MakeCgroups for a path on this host.
  Result<std::vector<std::string>> Make(const std::string& path) {
    const CgroupPlan plan = TRY(PlanHostCgroups(path));
    made_.insert(made_.begin(), plan.missing.rbegin(), plan.missing.rend());
    return MakeCgroups(plan, ParseHierarchies(TRY(ReadFile("/proc/self/mountinfo"))));
  }

  std::string Name(const char* name) const { return fmt::format("/kata-{}-{}", getpid(), name); }

 private:
  std::vector<std::string> made_;  // children first
};

TEST_F(Cgroups, MadeEnteredAndRemovedOnThisHost) {
  const std::string name = Name("test") + "/inner";
  auto plan = PlanHostCgroups(name);
  ASSERT_TRUE(plan) << plan.error().message();
  ASSERT_FALSE(plan->leaves.empty());
  EXPECT_EQ(plan->missing.size(), 2 * plan->leaves.size());
  const auto leaves = Make(name);
  ASSERT_TRUE(leaves) << leaves.error().message();
  EXPECT_EQ(*leaves, plan->leaves);

  Command command;
  command.argv = {"sleep", "1000"};
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  EXPECT_EQ(CountProcesses({plan->missing.front()}), 0U);
  ASSERT_TRUE(EnterCgroups(*leaves, child->pid()));
  EXPECT_EQ(CountProcesses({plan->missing.front()}), 1U) << "also in those below";
  auto now = CgroupsOf(child->pid());
  ASSERT_TRUE(now);
  EXPECT_EQ(*now, *leaves);

  RemoveCgroups(plan->missing);
  EXPECT_TRUE(std::filesystem::exists(leaves->front())) << "a process is in it";
  child->End();
  RemoveCgroups(plan->missing);
  for (const std::string& directory : plan->missing) EXPECT_FALSE(std::filesystem::exists(directory)) << directory;
  RemoveCgroups(plan->missing);  // a second call is no error
}

TEST_F(Cgroups, OnesOfStrangersStay) {
  const std::string name = Name("strangers");
  auto plan = PlanHostCgroups(name);
  ASSERT_TRUE(plan);
  const auto leaves = Make(name);
  ASSERT_TRUE(leaves);
  ASSERT_FALSE(leaves->empty());
  const std::string stranger = leaves->front() + "/stranger";
  ASSERT_TRUE(std::filesystem::create_directory(stranger));
  RemoveCgroups(plan->missing);
  EXPECT_TRUE(std::filesystem::exists(stranger));
  ASSERT_EQ(rmdir(stranger.c_str()), 0);
  RemoveCgroups(plan->missing);
  EXPECT_FALSE(std::filesystem::exists(leaves->front()));
}

TEST_F(Cgroups, WhereNoneMayBeMadeIsNoError) {
  const std::string mountinfo = "1 0 0:1 / /sys/firmware rw - cgroup cgroup rw,cpu\n";
  const CgroupPlan plan{.leaves = {"/sys/firmware/kata-test"}, .missing = {"/sys/firmware/kata-test"}};
  const auto made = MakeCgroups(plan, ParseHierarchies(mountinfo));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_THAT(*made, IsEmpty());
}

TEST_F(Cgroups, WhatElseFailsIsAnError) {
  const std::string mountinfo = "1 0 0:1 / /proc/self rw - cgroup cgroup rw,cpu\n";
  const CgroupPlan plan{.leaves = {"/proc/self/no/x"}, .missing = {"/proc/self/no", "/proc/self/no/x"}};
  const auto made = MakeCgroups(plan, ParseHierarchies(mountinfo));
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("unable to apply cgroup configuration"));

  const auto entered = EnterCgroups({"/proc/self/no"}, getpid());
  ASSERT_FALSE(entered);
  EXPECT_THAT(entered.error().message(), HasSubstr("unable to apply cgroup configuration"));
  EXPECT_TRUE(EnterCgroups({"/proc/self/no"}, getpid(), CgroupUse::kIfAllowed));
}

}  // namespace
}  // namespace kata::sandbox
