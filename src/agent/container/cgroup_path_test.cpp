// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/container/cgroup.h"

namespace kata::agent {
namespace {

TEST(SanitizeCgroupPath, KeepsOrdinaryPaths) {
  EXPECT_EQ(*SanitizeCgroupPath("/kubepods/pod1/ctr", "id"), "kubepods/pod1/ctr");
  EXPECT_EQ(*SanitizeCgroupPath("libpod//x/./y/", "id"), "libpod/x/y");
}

TEST(SanitizeCgroupPath, NeverLeavesTheMountAndNeverMeansTheRoot) {
  EXPECT_EQ(*SanitizeCgroupPath("../../etc", "id"), "etc");
  EXPECT_EQ(*SanitizeCgroupPath("/a/../../b", "id"), "b");
  EXPECT_EQ(*SanitizeCgroupPath("", "id"), "id");
  EXPECT_EQ(*SanitizeCgroupPath("/", "id"), "id");
  EXPECT_EQ(*SanitizeCgroupPath("/a/..", "id"), "id");
  EXPECT_FALSE(SanitizeCgroupPath(std::string_view("a\0b", 3), "id"));
}

TEST(SanitizeCgroupPath, ExpandsSystemdsForm) {
  EXPECT_EQ(*SanitizeCgroupPath("machine.slice:libpod:abc", "id"), "machine.slice/libpod-abc.scope");
  EXPECT_EQ(*SanitizeCgroupPath("a-b-c.slice:cri:abc", "id"), "a.slice/a-b.slice/a-b-c.slice/cri-abc.scope");
  EXPECT_EQ(*SanitizeCgroupPath(":docker:abc", "id"), "system.slice/docker-abc.scope");
  EXPECT_EQ(*SanitizeCgroupPath("-.slice:docker:abc", "id"), "docker-abc.scope");
  EXPECT_EQ(*SanitizeCgroupPath("user.slice::abc", "id"), "user.slice/abc.scope");
  for (const char* bad :
       {"noslice:a:b", "a--b.slice:a:b", "-a.slice:a:b", "a-.slice:a:b", ".slice:a:b", "a.slice:b:"}) {
    EXPECT_FALSE(SanitizeCgroupPath(bad, "id")) << bad;
  }
}

TEST(KeyOf, FindsWholeKeysOnly) {
  EXPECT_EQ(KeyOf("oom 1\noom_kill 23\n", "oom_kill"), 23U);
  EXPECT_EQ(KeyOf("oom_kill_x 1\noom_kill 4", "oom_kill"), 4U);
  EXPECT_FALSE(KeyOf("oom_kill_x 1\n", "oom_kill").has_value());
}

}  // namespace
}  // namespace kata::agent
