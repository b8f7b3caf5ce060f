// SPDX-License-Identifier: Apache-2.0
#include "base/user_namespace.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <unistd.h>

#include "base/child.h"
#include "base/files.h"

namespace kata {
namespace {

using testing::StartsWith;

TEST(UserNamespace, HasItsMappings) {
  ASSERT_EQ(geteuid(), 0U) << "only root may map any id";
  const auto made = MakeUserNamespace("", {{0, 100000, 10}, {20, 300000, 5}}, {{0, 200000, 7}});
  ASSERT_TRUE(made) << made.error().message();
  // What the file says depends on who reads it: root outside sees the ids outside.
  auto child = Fork({.fds = {-1, -1, -1, made->get()}}, [] {
    if (setns(3, CLONE_NEWUSER) != 0) _exit(2);
    for (;;) pause();
  });
  ASSERT_TRUE(child) << child.error().message();
  const std::string directory = "/proc/" + std::to_string(*PidInProc(child->pidfd()));
  EXPECT_EQ(*PidInProc(child->pidfd()), child->pid());
  std::string uids;
  // The child joins it in its own time.
  while (uids.find("100000") == std::string::npos) {
    uids = ReadFile(directory + "/uid_map").value_or("");
    ASSERT_NE(uids, "") << "the child has ended";
  }
  EXPECT_EQ(uids, "         0     100000         10\n        20     300000          5\n");
  EXPECT_EQ(ReadFile(directory + "/gid_map").value_or(""), "         0     200000          7\n");
}

TEST(UserNamespace, ErrorsNameTheField) {
  const auto error = [](const IdMap& uids, const IdMap& gids) {
    const auto made = MakeUserNamespace("linux.", uids, gids);
    return made ? "" : made.error().message();
  };
  EXPECT_THAT(error({}, {{0, 1, 1}}), StartsWith("linux.uidMappings: "));
  EXPECT_THAT(error({{0, 1, 1}}, {}), StartsWith("linux.gidMappings: "));
  EXPECT_THAT(error({{0, 1, 1}, {0, 2, 1}}, {{0, 1, 1}}), StartsWith("linux.uidMappings: "));
  EXPECT_THAT(error({{0, 1, 1}}, IdMap(341, {0, 1, 1})), StartsWith("linux.gidMappings: "));
}

TEST(UserNamespace, WhoIsRoot) {
  ASSERT_EQ(geteuid(), 0U);
  EXPECT_TRUE(IsHostsRoot());
  EXPECT_TRUE(RequireRoot());
  EXPECT_TRUE(AllowsSetgroups());
  const auto made = MakeUserNamespace("", {{0, 0, 65536}, {70000, 70000, 2}}, {{0, 0, 10}});
  ASSERT_TRUE(made);
  const auto holds = [&](const auto& check) {
    auto child = Fork({.fds = {-1, -1, -1, made->get()}}, [&] { _exit(check() ? 0 : 1); });
    return child && child->Wait()->Shell() == 0;
  };
  EXPECT_TRUE(holds([] {
    const bool is_user = setuid(65534) == 0;
    const auto required = RequireRoot();
    return is_user && !IsHostsRoot() && !required &&
           required.error().message().find("uid 65534 cannot start") != std::string::npos;
  }));
  EXPECT_TRUE(holds([] {
    const bool entered = setns(3, CLONE_NEWUSER) == 0;
    const auto uids = OwnUids();
    const auto gids = OwnGids();
    return entered && !IsHostsRoot() && RequireRoot() && uids && uids->size() == 2 && uids->back().inside == 70000 &&
           uids->back().size == 2 && gids && gids->size() == 1 && gids->front().size == 10;
  }));
}

TEST(UserNamespace, AProcessThatHasEndedHasNoPid) {
  auto child = Fork({}, [] {});
  ASSERT_TRUE(child);
  const UniqueFd pidfd = *OpenPidfd(child->pid());
  ASSERT_TRUE(child->Wait());
  EXPECT_FALSE(PidInProc(pidfd.get()));
}

}  // namespace
}  // namespace kata
