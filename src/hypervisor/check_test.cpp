// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace kata::hypervisor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const CheckItem& Find(const std::vector<CheckItem>& items, const std::string& name) {
  static const CheckItem kNone;
  for (const CheckItem& item : items) {
    if (item.name == name) return item;
  }
  ADD_FAILURE() << "no fact is called " << name;
  return kNone;
}

TEST(CheckTest, FindsWhatIsThere) {
  config::Config config;
  config.hypervisor.kernel = config.hypervisor.initrd = "/proc/self/exe";
  config.hypervisor.virtio_fs_daemon = "/usr/lib/qemu/virtiofsd";
  const auto items = CheckHost(config);
  EXPECT_TRUE(Find(items, "QEMU").ok) << Find(items, "QEMU").detail;
  EXPECT_THAT(Find(items, "QEMU").detail, HasSubstr("QEMU emulator version"));
  EXPECT_TRUE(Find(items, "file server").ok) << Find(items, "file server").detail;
  EXPECT_TRUE(Find(items, "acceleration").ok);
  EXPECT_TRUE(Find(items, "namespaces").ok) << Find(items, "namespaces").detail;
  EXPECT_TRUE(Find(items, "guest kernel").ok) << Find(items, "guest kernel").detail;
  EXPECT_TRUE(CanRunGuests(items));
}

TEST(CheckTest, SaysWhatIsMissingAndWhatToDo) {
  config::Config config;
  config.hypervisor.kernel = "/nonexistent/vmlinux";
  config.hypervisor.initrd = "/proc/self/exe";
  config.hypervisor.path = "/nonexistent/qemu";
  config.hypervisor.virtio_fs_daemon = "/bin/false";
  const auto items = CheckHost(config);
  EXPECT_FALSE(Find(items, "QEMU").ok);
  EXPECT_THAT(Find(items, "QEMU").detail, HasSubstr("/nonexistent/qemu"));
  EXPECT_THAT(Find(items, "QEMU").advice, HasSubstr("qemu-system-x86"));
  EXPECT_FALSE(Find(items, "file server").ok);
  EXPECT_THAT(Find(items, "file server").detail, HasSubstr("exited with status 1"));
  EXPECT_FALSE(Find(items, "guest kernel").ok);
  EXPECT_THAT(Find(items, "guest kernel").detail, HasSubstr("/nonexistent/vmlinux"));
  EXPECT_THAT(Find(items, "guest kernel").detail, Not(HasSubstr("build it")));
  EXPECT_FALSE(CanRunGuests(items));
  for (const CheckItem& item : items) {
    EXPECT_TRUE(item.ok || !item.advice.empty()) << item.name;
  }
}

TEST(CheckTest, AnotherProgramIsNeitherQemuNorAFileServer) {
  config::Config config;
  config.hypervisor.path = config.hypervisor.virtio_fs_daemon = "/bin/true";
  config.hypervisor.apparmor = "on";
  const auto items = CheckHost(config);
  EXPECT_FALSE(Find(items, "QEMU").ok);
  EXPECT_THAT(Find(items, "QEMU").detail, HasSubstr("/bin/true is another program: true (GNU coreutils)"));
  EXPECT_FALSE(Find(items, "file server").ok);
}

TEST(CheckTest, ProfilesAreRequiredOnlyWhereTheyAreAskedFor) {
  config::Config config;
  EXPECT_FALSE(Find(CheckHost(config), "AppArmor").required);
  config.hypervisor.apparmor = "on";
  const auto items = CheckHost(config);
  EXPECT_EQ(Find(items, "AppArmor").required, !Find(items, "AppArmor").ok) << Find(items, "AppArmor").detail;
}

TEST(CheckTest, AProgramThatHangsIsNotMissing) {
  const std::string program = ::testing::TempDir() + "stands-still";
  std::ofstream(program) << "#!/bin/sh\nkill -STOP $$\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  config::Config config;
  config.hypervisor.path = program;
  config.runtime.timeout_factor = 0.1;
  const auto items = CheckHost(config);
  std::filesystem::remove(program);
  EXPECT_FALSE(Find(items, "QEMU").ok);
  EXPECT_THAT(Find(items, "QEMU").detail, HasSubstr("--version has not ended within 1 s (timeout_factor in [runtime]"));
  EXPECT_THAT(Find(items, "QEMU").advice, Not(HasSubstr("install")));
}

TEST(CheckTest, AHypervisorThatIsNotBuiltIn) {
  config::Config config;
  config.hypervisor.name = "firecracker";
  const auto items = CheckHost(config);
  EXPECT_FALSE(Find(items, "hypervisor").ok);
  EXPECT_THAT(Find(items, "hypervisor").advice, HasSubstr("one of qemu"));
  EXPECT_FALSE(CanRunGuests(items));
}

TEST(CheckTest, OnlyWhatIsRequiredCounts) {
  EXPECT_TRUE(CanRunGuests({{"speed", false, false, "", ""}, {"QEMU", true, true, "", ""}}));
  EXPECT_FALSE(CanRunGuests({{"speed", true, false, "", ""}, {"QEMU", false, true, "", ""}}));
}

}  // namespace
}  // namespace kata::hypervisor
