// SPDX-License-Identifier: Apache-2.0
#include "base/security_module.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/child.h"
#include "base/files.h"

namespace kata {
namespace {

// A host with files of its own. What the kernel does with them is shown by tests/lab/test_apparmor.py.
class SecurityModuleTest : public testing::Test {
 protected:
  SecurityModuleTest() {
    std::string pattern = testing::TempDir() + "/security.XXXXXX";
    top_ = mkdtemp(pattern.data());
    files_.apparmor_enabled = top_ + "/enabled";
    files_.apparmor_profiles = top_ + "/profiles";
    files_.attributes = top_ + "/attr";
    files_.selinux = top_ + "/selinux";
    std::filesystem::create_directories(files_.attributes + "/apparmor");
    for (const char* name : {"/exec", "/apparmor/exec", "/apparmor/current"}) Write(files_.attributes + name, "");
  }
  ~SecurityModuleTest() override { std::filesystem::remove_all(top_); }

  static void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  void AppArmorWith(const std::string& profiles) {
    Write(files_.apparmor_enabled, "Y\n");
    Write(files_.apparmor_profiles, profiles);
  }
  std::string AtExec(std::string_view use) {
    const auto label = ProfileAtExec(use, "kata-qemu", files_);
    if (!label) return label.error().message();
    return *label ? (*label)->file.substr(files_.attributes.size()) + " " + (*label)->line : "none";
  }

  std::string top_;
  SecurityFiles files_;
};

TEST_F(SecurityModuleTest, AProfileThatIsLoadedIsEntered) {
  AppArmorWith("/usr/bin/man (enforce)\nkata-qemu (enforce)\n");
  EXPECT_EQ(AtExec("auto"), "/apparmor/exec exec kata-qemu");
  EXPECT_EQ(AtExec("on"), "/apparmor/exec exec kata-qemu");
  EXPECT_EQ(AtExec("off"), "none");
  ASSERT_TRUE(EnterProfile("auto", "kata-qemu", files_));
  EXPECT_EQ(ReadFile(files_.attributes + "/apparmor/current").value(), "changeprofile kata-qemu");
}

TEST_F(SecurityModuleTest, NeitherPartsOfNamesNorOtherNamespacesCount) {
  AppArmorWith("my-kata-qemu (enforce)\nkata-qemu-2 (enforce)\nkata-qemu//child (enforce)\n:other:kata-qemu (enforce)");
  EXPECT_EQ(AtExec("auto"), "none");
  AppArmorWith("kata-qemu (complain)");
  EXPECT_EQ(AtExec("auto"), "/apparmor/exec exec kata-qemu");
}

TEST_F(SecurityModuleTest, WhatIsAskedForAndMissingIsAnError) {
  EXPECT_EQ(AtExec("auto"), "none");
  EXPECT_EQ(AtExec("on"), "apparmor = \"on\", but this host's kernel has no AppArmor, or it is off");
  AppArmorWith("");
  EXPECT_EQ(AtExec("auto"), "none");
  EXPECT_EQ(AtExec("on"),
            "apparmor = \"on\", but the profile kata-qemu is not loaded: apparmor_parser -r /etc/apparmor.d/kata-*");
  EXPECT_EQ(EnterProfile("on", "kata-qemu", files_).error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(EnterProfile("auto", "kata-qemu", files_));
  EXPECT_EQ(ReadFile(files_.attributes + "/apparmor/current").value(), "");
  Write(files_.apparmor_enabled, "N\n");
  Write(files_.apparmor_profiles, "kata-qemu (enforce)\n");
  EXPECT_EQ(AtExec("auto"), "none");
}

TEST_F(SecurityModuleTest, AListThatCannotBeReadIsNotAnEmptyOne) {
  AppArmorWith("");
  std::filesystem::remove(files_.apparmor_profiles);
  EXPECT_EQ(AtExec("auto"), "none");
  EXPECT_TRUE(AtExec("on").starts_with("cannot list AppArmor's profiles: ")) << AtExec("on");
  std::filesystem::create_directory(files_.apparmor_profiles);
  EXPECT_TRUE(AtExec("auto").starts_with("cannot list AppArmor's profiles: ")) << AtExec("auto");
}

TEST_F(SecurityModuleTest, AProfileThatIsRefusedIsAnError) {
  AppArmorWith("kata-qemu (enforce)\n");
  std::filesystem::remove(files_.attributes + "/apparmor/current");
  std::filesystem::create_symlink("/dev/full", files_.attributes + "/apparmor/current");
  const auto entered = EnterProfile("auto", "kata-qemu", files_);
  ASSERT_FALSE(entered);
  EXPECT_TRUE(entered.error().message().starts_with("cannot enter AppArmor's profile kata-qemu: "));
}

TEST_F(SecurityModuleTest, BeforeLinux51AllModulesHaveOneDirectory) {
  AppArmorWith("kata-qemu (enforce)\n");
  std::filesystem::remove_all(files_.attributes + "/apparmor");
  EXPECT_EQ(AtExec("auto"), "/exec exec kata-qemu");
}

TEST_F(SecurityModuleTest, ALabelIsGivenWhereThereIsSelinux) {
  constexpr char kLabel[] = "system_u:system_r:container_kvm_t:s0:c1,c2";
  EXPECT_EQ(SelinuxAtExec(kLabel, files_), std::nullopt);
  EXPECT_FALSE(HasSelinux(files_));
  Write(files_.selinux, "");
  EXPECT_TRUE(HasSelinux(files_));
  EXPECT_EQ(SelinuxAtExec("", files_), std::nullopt);
  EXPECT_EQ(SelinuxAtExec(kLabel, files_), (ExecLabel{.file = files_.attributes + "/exec", .line = kLabel}));
}

TEST_F(SecurityModuleTest, SpawnWritesLabelsRightBeforeExecOrFails) {
  Command command{.argv = {"true"}};
  const std::string file = files_.attributes + "/exec";
  command.labels = {{.file = file, .line = "exec kata-qemu"}};
  auto child = Spawn(command);
  ASSERT_TRUE(child) << child.error().message();
  EXPECT_EQ(child->Wait()->Shell(), 0);
  EXPECT_EQ(ReadFile(file).value(), "exec kata-qemu");
  for (const char* bad : {"/dev/full", "/missing"}) {
    command.labels.back().file = bad;
    const auto refused = Spawn(command);
    ASSERT_FALSE(refused) << bad;
    EXPECT_NE(refused.error().message().find("AppArmor profile or SELinux label"), std::string::npos)
        << refused.error().message();
  }
}

}  // namespace
}  // namespace kata
