// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/host_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

namespace kata::hypervisor::qemu {
namespace {

using ::testing::HasSubstr;

class HostFilesTest : public ::testing::Test {
 protected:
  HostFilesTest() {
    std::string name = ::testing::TempDir() + "/host_files_XXXXXX";
    close(mkstemp(name.data()));
    path_ = name;
  }
  ~HostFilesTest() override { unlink(path_.c_str()); }
  void Mode(mode_t mode, gid_t gid = 0) {
    ASSERT_EQ(chown(path_.c_str(), 0, gid), 0);
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  std::string path_;
};

TEST_F(HostFilesTest, AGuestFileMustBeReadableForEveryone) {
  std::ofstream(path_) << "x";
  Mode(0644);
  EXPECT_TRUE(OpenGuestFile({"kernel", path_, ""}));
  Mode(0600);
  const auto fd = OpenGuestFile({"kernel", path_, ""});
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(fd.error().message(), HasSubstr("chmod a+r"));
}

TEST_F(HostFilesTest, AGuestFileMustBeAFileWithContents) {
  Mode(0644);
  EXPECT_THAT(OpenGuestFile({"initrd", path_, ""}).error().message(), HasSubstr("is empty"));
  EXPECT_THAT(OpenGuestFile({"initrd", "/tmp", ""}).error().message(), HasSubstr("not a regular file"));
}

TEST(GuestFileTest, AMissingOneIsNamedWithWhatBringsIt) {
  config::HypervisorConfig config;
  config.kernel = "/nonexistent/vmlinux";
  config.initrd = "/nonexistent/initrd";
  const auto initrd = OpenGuestFile(InitrdOf(config));
  EXPECT_EQ(initrd.error().code(), Code::kNotFound);
  EXPECT_THAT(initrd.error().message(), HasSubstr("/nonexistent/initrd"));
  EXPECT_THAT(initrd.error().message(), HasSubstr("set initrd in [hypervisor.qemu]"));
  EXPECT_THAT(OpenGuestFile(KernelOf(config)).error().message(), HasSubstr("/nonexistent/vmlinux:"));
  config.kernel_flavour = "full";
  const auto full = OpenGuestFile(KernelOf(config)).error().message();
  EXPECT_THAT(full, HasSubstr("/nonexistent/vmlinux-full:"));
  EXPECT_THAT(full, HasSubstr("kernel_flavour = \"full\" needs it, and `make kernel-full install` brings it"));
}

TEST(FirmwareTest, TheConfiguredOneGoesFirst) {
  config::HypervisorConfig config;
  config.machine_type = "microvm";
  EXPECT_EQ(Firmware(config), "");
  config.firmware = "/opt/OVMF.fd";
  EXPECT_EQ(Firmware(config), "/opt/OVMF.fd");
}

}  // namespace
}  // namespace kata::hypervisor::qemu
