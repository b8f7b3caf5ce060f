// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/check_traps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace kata::hypervisor {
namespace {

TEST(CheckTrapsTest, TheLastMountOnTheRootCounts) {
  const std::string shared = "29 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n";
  const std::string followed = "29 1 254:0 / / rw,relatime master:1 - ext4 /dev/vda rw\n";
  const std::string alone = "6 1 254:0 / / rw - ext4 /dev/vda shared:1\n";
  const std::string below = "30 29 0:5 / /dev rw shared:2 - devtmpfs x rw\n";
  EXPECT_TRUE(RootPropagation(shared + below).ok);
  EXPECT_FALSE(RootPropagation(followed + below).ok);
  EXPECT_FALSE(RootPropagation(alone + below).ok);
  EXPECT_FALSE(RootPropagation(shared + alone).ok);
  for (const char* const odd : {"", "\n", "1 2 3", "a b c d /"}) EXPECT_FALSE(RootPropagation(odd).ok) << odd;
}

TEST(CheckTrapsTest, ModulesAreLoadedOrBuiltInOrCanBeLoaded) {
  std::string directory = ::testing::TempDir() + "modules-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  std::filesystem::create_directories(directory + "/sys/tun");
  EXPECT_TRUE(NetworkModules(directory + "/sys", directory + "/none").ok);  // nobody can tell
  std::ofstream(directory + "/modules.builtin") << "kernel/net/sched/cls_u32.ko\n";
  std::ofstream(directory + "/modules.dep") << "kernel/net/sched/sch_ingress.ko.zst: kernel/x.ko\n";
  const CheckItem some = NetworkModules(directory + "/sys", directory);
  EXPECT_FALSE(some.ok || some.required);
  EXPECT_EQ(some.detail, "act_mirred missing");
  std::ofstream(directory + "/modules.dep", std::ios::app) << "kernel/net/sched/act_mirred.ko:\n";
  EXPECT_TRUE(NetworkModules(directory + "/sys", directory).ok);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace kata::hypervisor
