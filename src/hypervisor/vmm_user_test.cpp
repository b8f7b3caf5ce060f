// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/vmm_user.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "base/child.h"

namespace kata::hypervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class VmmUserTest : public ::testing::Test {
 protected:
  VmmUserTest() {
    std::string name = ::testing::TempDir() + "/vmm_user_XXXXXX";
    close(mkstemp(name.data()));
    path_ = name;
  }
  ~VmmUserTest() override { unlink(path_.c_str()); }
  void Mode(mode_t mode, gid_t gid = 0, uid_t uid = 0) {
    ASSERT_EQ(chown(path_.c_str(), uid, gid), 0);
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  // Whether check holds for the credentials that a user gets in a user namespace of the host's first 65536 ids.
  template <typename Check>
  bool InNamespace(const VmmUser& user, Check check) {
    const auto made = MakeUserNamespace("", {{0, 100000, 65537}}, {{0, 100000, 65537}});
    auto child = Fork({.fds = {-1, -1, STDERR_FILENO, made->get()}}, [&] {
      if (setns(3, CLONE_NEWUSER) != 0) _exit(2);
      const auto credentials = VmmCredentials(user, path_);
      _exit(credentials && check(*credentials) ? 0 : 1);
    });
    return child && child->Wait()->Shell() == 0;
  }
  std::string path_;
};

TEST_F(VmmUserTest, TheKvmGroupIsGivenOnlyWhenItHelps) {
  Mode(0666);
  EXPECT_THAT(KvmGroups(path_).value(), IsEmpty());
  Mode(0660, 4711);
  EXPECT_THAT(KvmGroups(path_).value(), ElementsAre(4711U));
  EXPECT_THAT(VmmCredentials({7, 7}, path_)->groups.value(), ElementsAre(4711U));
  Mode(0600, 4711);
  EXPECT_EQ(KvmGroups(path_).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(VmmCredentials({7, 7}, path_).error().code(), Code::kPermissionDenied);
  Mode(0660, 0);  // a VMM never gets root's group
  EXPECT_EQ(KvmGroups(path_).error().code(), Code::kPermissionDenied);
}

TEST_F(VmmUserTest, OnTheHostEachSandboxHasItsOwn) {
  EXPECT_NE(VmmUserOf(1)->uid, VmmUserOf(2)->uid);
  EXPECT_EQ(VmmCredentials({}, "").error().code(), Code::kInvalidArgument);
}

TEST_F(VmmUserTest, InANamespaceItIsAnIdThatImagesDoNotUse) {
  EXPECT_EQ(VmmIdIn({{0, 1000, 1}}, 5), 0U);
  EXPECT_EQ(VmmIdIn({{0, 1000, 1}, {1, 100000, 65536}}, 5), 65536U);
  EXPECT_EQ(VmmIdIn({{0, 100000, 65536}}, 5), 65535U);
  // A long range has more of them: several sandboxes have several.
  std::set<uint32_t> ids;
  for (pid_t pid = 1; pid <= 100; ++pid) ids.insert(VmmIdIn({{0, 1000, 1}, {1, 100000, 65536 + 99}}, pid));
  EXPECT_EQ(ids.size(), 100U);
  EXPECT_EQ(*ids.begin(), 65536U);
  EXPECT_EQ(*ids.rbegin(), 65635U);
}

TEST_F(VmmUserTest, InANamespaceItIsTheUserOnlyIfNobodyElseMayOpenTheDevice) {
  Mode(0666);
  EXPECT_TRUE(InNamespace({65536, 65536}, [](const auto& one) { return one.uid == 65536 && one.groups->empty(); }));
  EXPECT_TRUE(InNamespace({0, 0}, [](const auto& one) { return one.uid == 0 && !one.groups; }));
  Mode(0600, 0, 100000);
  EXPECT_TRUE(InNamespace({65536, 65536}, [](const auto& one) { return one.uid == 0; }));
}

}  // namespace
}  // namespace kata::hypervisor
