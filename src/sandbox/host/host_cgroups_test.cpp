// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/host_cgroups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/files.h"
#include "sandbox/host/cgroup.h"

namespace kata::sandbox {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(SandboxCgroupPlace, IsBesideTheContainers) {
  EXPECT_EQ(SandboxCgroupPlace("/kubepods/pod1/abc", "abc", std::nullopt)->path, "/kubepods/pod1/kata_abc");
  EXPECT_EQ(SandboxCgroupPlace("/abc", "abc", std::nullopt)->path, "/kata_abc");
  EXPECT_EQ(SandboxCgroupPlace("abc", "abc", std::nullopt)->path, "kata_abc");
  EXPECT_EQ(SandboxCgroupPlace("", "abc", std::nullopt)->path, "kata_abc");
  const auto unit = SandboxCgroupPlace("kubepods-pod1.slice:cri-containerd:abc", "abc", std::nullopt);
  EXPECT_EQ(unit->path, "/kubepods.slice/kubepods-pod1.slice/cri-containerd-abc.scope");
  EXPECT_EQ(unit->unit.value().name, "cri-containerd-abc.scope");
  EXPECT_FALSE(SandboxCgroupPlace("no slice:x:abc", "abc", std::nullopt));
}

TEST(SandboxCgroupPlace, IsWhereTheCallerExpectsIt) {
  EXPECT_EQ(SandboxCgroupPlace("/pod/abc", "abc", /*systemd=*/false)->path, "/pod/kata_abc");
  EXPECT_EQ(SandboxCgroupPlace("", "abc", /*systemd=*/false)->path, "kata_abc");
  EXPECT_EQ(SandboxCgroupPlace("pod.slice:x:abc", "abc", /*systemd=*/true)->path, "/pod.slice/x-abc.scope");
  EXPECT_EQ(SandboxCgroupPlace("", "abc", /*systemd=*/true)->path, "/system.slice/kata-abc.scope");
  const auto says = [](const char* path, bool systemd) {
    const auto place = SandboxCgroupPlace(path, "abc", systemd);
    return place ? "" : place.error().message();
  };
  EXPECT_THAT(says("/pod/abc", true), HasSubstr("SystemdCgroup = true, but linux.cgroupsPath is \"/pod/abc\", not of"));
  EXPECT_THAT(says("pod.slice:x:abc", false),
              HasSubstr("SystemdCgroup = false, but linux.cgroupsPath is \"pod.slice:x"));
}

// Its slices are systemd's, which would not notice if we made or removed them.
TEST(CgroupStay, OfAUnitHasNoSlices) {
  const std::string name = fmt::format("kata{}stay", getpid());
  const auto stay = PlanCgroupStay(PlaceOf(name + ".slice:x:abc", "abc", true).value(), "abc", true);
  ASSERT_TRUE(stay);
  const std::string mountinfo = ReadFile("/proc/self/mountinfo").value();
  for (const Hierarchy& hierarchy : ParseHierarchies(mountinfo)) {
    const std::string slice = hierarchy.mount_point + "/" + name + ".slice";
    EXPECT_THAT(stay->made, Contains(slice + "/x-abc.scope"));
    if (hierarchy.unified || hierarchy.controllers.front() == "name=systemd") {
      EXPECT_THAT(stay->made, Not(Contains(slice)));
    }
  }
}

TEST(CgroupStay, IsOnePlaceOrTwo) {
  const std::string id = fmt::format("kata-{}-stay", getpid());
  auto one = PlanCgroupStay({.path = "/" + id, .unit = {}}, id, true);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->process, "/" + id);
  EXPECT_EQ(one->vcpus, "");
  EXPECT_THAT(one->vcpu_directories, IsEmpty());
  EXPECT_THAT(one->made, Contains(EndsWith("/" + id)));
  EXPECT_THAT(one->made, Not(Contains(EndsWith("/kata_overhead"))));

  auto two = PlanCgroupStay({.path = "/" + id, .unit = {}}, id, false);
  ASSERT_TRUE(two);
  EXPECT_EQ(two->process, "/kata_overhead/" + id);
  EXPECT_EQ(two->vcpus, "/" + id);
  EXPECT_THAT(two->vcpu_directories, Contains(EndsWith("/" + id)));
  // Includes directories that other sandboxes may have made already: the last one removes them.
  EXPECT_THAT(two->made, Contains(EndsWith("/kata_overhead")));
  EXPECT_THAT(two->made, Contains(EndsWith("/kata_overhead/" + id)));
  EXPECT_THAT(two->made, Contains(EndsWith("/" + id)));
}

// Uses the host's real cgroups: this process enters them and comes back.
TEST(CgroupVisit, LeavesNothing) {
  const std::string id = fmt::format("kata-{}-visit", getpid());
  const auto before = CgroupsOf(getpid());
  ASSERT_TRUE(before);
  auto stay = PlanCgroupStay({.path = "/" + id, .unit = {}}, id, false);
  ASSERT_TRUE(stay);
  const auto made = stay->made;
  CgroupVisit visit;
  const auto entered = visit.Enter(*std::move(stay), id);
  ASSERT_TRUE(entered) << entered.error().message();
  EXPECT_THAT(*CgroupsOf(getpid()), Contains(EndsWith("/kata_overhead/" + id)));
  visit.End();
  EXPECT_EQ(*CgroupsOf(getpid()), *before);
  for (const std::string& directory : made) {
    // Another sandbox may use the parent of all overhead, too.
    if (!directory.ends_with(id)) continue;
    EXPECT_NE(access(directory.c_str(), F_OK), 0) << directory;
  }
}

}  // namespace
}  // namespace kata::sandbox
