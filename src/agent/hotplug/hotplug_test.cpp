// SPDX-License-Identifier: Apache-2.0
// Finding disks in a fake sysfs, and waiting for them with the uevents of this host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "agent/hotplug/block_device.h"
#include "agent/hotplug/online.h"
#include "agent/hotplug/uevents.h"
#include "base/files.h"

namespace kata::agent {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class HotplugTest : public testing::Test {
 protected:
  HotplugTest() {
    char name[] = "/tmp/kata-hotplug-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    sys_ = name;
  }
  ~HotplugTest() override { fs::remove_all(sys_); }

  void Put(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(sys_ + "/" + path).parent_path());
    std::ofstream(sys_ + "/" + path) << text;
  }
  void MakeDir(const std::string& path) const { fs::create_directories(sys_ + "/" + path); }
  std::string Get(const std::string& path) const { return ReadFile(sys_ + "/" + path).value_or("?"); }
  Code CodeOf(const char* driver, const char* address) const {
    const auto found = FindDisk(sys_, driver, address);
    return found ? Code::kUnknown : found.error().code();
  }

  std::string sys_;
};

TEST_F(HotplugTest, PciPathsGoFromBridgeToBridge) {
  MakeDir("bus/pci/devices/0000:00:10.0/pci_bus/0000:01");
  MakeDir("bus/pci/devices/0000:01:02.0/virtio3/block/vdb");
  EXPECT_EQ(CodeOf("blk", "10/02"), Code::kNotFound) << "the kernel has not made the disk yet";
  Put("class/block/vdb/dev", "254:16\n");
  const auto disk = FindDisk(sys_, "blk", "10/02");
  ASSERT_TRUE(disk) << disk.error().message();
  EXPECT_EQ(disk->path, "/dev/vdb");
  EXPECT_EQ(disk->major, 254U);
  EXPECT_EQ(disk->minor, 16U);
  EXPECT_TRUE(FindDisk(sys_, "blk", "10.0/02.0"));
  EXPECT_EQ(CodeOf("blk", "10/03"), Code::kNotFound);
  EXPECT_EQ(CodeOf("blk", "11/02"), Code::kNotFound);
  EXPECT_EQ(CodeOf("blk", "10/02/01"), Code::kNotFound) << "a disk is no bridge";
  EXPECT_EQ(CodeOf("blk", "10"), Code::kNotFound) << "a bridge is no disk";
  for (const char* bad : {"", "/", "10/", "10//02", "20/02", "10/02.8", "../02", "10/0x2", "10/-2", "10.0.0/02"}) {
    const Code code = CodeOf("blk", bad);
    EXPECT_TRUE(code == Code::kInvalidArgument || (std::string(bad) == "10/" && code == Code::kNotFound)) << bad;
  }
}

TEST_F(HotplugTest, ScsiAddressesAreOfAnyController) {
  MakeDir("bus/scsi/devices/host2");
  MakeDir("bus/scsi/devices/target2:0:1");
  MakeDir("bus/scsi/devices/2:0:1:14/block/sdb");
  MakeDir("bus/scsi/devices/2:0:1:4/block/sda");
  Put("class/block/sda/dev", "8:0\n");
  Put("class/block/sdb/dev", "8:16\n");
  const auto disk = FindDisk(sys_, "scsi", "1:4");
  ASSERT_TRUE(disk) << disk.error().message();
  EXPECT_EQ(disk->path, "/dev/sda");
  EXPECT_EQ(FindDisk(sys_, "scsi", "1:14")->path, "/dev/sdb");
  EXPECT_EQ(CodeOf("scsi", "1:1"), Code::kNotFound);
  for (const char* bad : {"", "1", "1:", ":1", "1:1:1", "a:b", "1:-1"}) {
    EXPECT_EQ(CodeOf("scsi", bad), Code::kInvalidArgument) << bad;
  }
}

TEST_F(HotplugTest, NamesAreOneFileOfDev) {
  Put("class/block/pmem0/dev", "259:0\n");
  Put("secret/dev", "1:1\n");
  EXPECT_EQ(FindDisk(sys_, "nvdimm", "/dev/pmem0")->path, "/dev/pmem0");
  EXPECT_EQ(FindDisk(sys_, "mmioblk", "pmem0")->major, 259U);
  EXPECT_EQ(FindDisk(sys_, "blk", "/dev/pmem0")->major, 259U);
  EXPECT_EQ(CodeOf("mmioblk", "/dev/vda"), Code::kNotFound);
  for (const char* bad : {"", "/dev/", "/dev/../secret", "../../secret", "/etc/passwd", "."}) {
    EXPECT_EQ(CodeOf("nvdimm", bad), Code::kInvalidArgument) << bad;
  }
}

TEST_F(HotplugTest, ProcessorsAndMemoryAreSwitchedOn) {
  MakeDir("cpu0");
  MakeDir("cpufreq");
  Put("cpu1/online", "1\n");
  Put("cpu2/online", "0\n");
  Put("cpu10/online", "0\n");
  EXPECT_EQ(*OnlineCpus(sys_), 2U);
  EXPECT_EQ(Get("cpu2/online").front(), '1');
  EXPECT_EQ(*OnlineCpus(sys_), 0U);
  Put("memory0/state", "online\n");
  Put("memory7/state", "offline\n");
  EXPECT_EQ(*OnlineMemory(sys_), 1U);
  EXPECT_EQ(Get("memory7/state").substr(0, 6), "online");
  EXPECT_FALSE(OnlineMemory(sys_ + "/missing"));
}

// Uses real uevents, those of a loop device.
TEST_F(HotplugTest, LooksAgainAtEveryEvent) {
  asio::io_context context;
  int looks = 0;
  std::function<Result<>()> look = [&looks]() -> Result<> {
    // A device that appears between the first look and the opening of the socket is found by the second look.
    if (++looks == 2) return {};
    return Fail(Code::kNotFound, "not yet");
  };
  std::optional<Result<>> result;
  asio::co_spawn(context, LookUntilFound(context.get_executor(), std::chrono::seconds(60), look),
                 [&](std::exception_ptr, Result<> value) { result = std::move(value); });
  context.run();
  EXPECT_TRUE(*result);
  EXPECT_EQ(looks, 2);

  looks = 10;
  result.reset();
  context.restart();
  std::function<Result<>()> later = [&looks]() -> Result<> {
    if (looks++ == 10) return Fail(Code::kNotFound, "not yet");
    if (looks == 12) {
      // Makes the kernel send a uevent, as udevadm trigger does.
      EXPECT_TRUE(WriteFile("/sys/block/loop0/uevent", "change"));
      return Fail(Code::kNotFound, "not yet");
    }
    return {};
  };
  asio::co_spawn(context, LookUntilFound(context.get_executor(), std::chrono::seconds(60), later),
                 [&](std::exception_ptr, Result<> value) { result = std::move(value); });
  context.run();
  EXPECT_TRUE(*result) << result->error().message();

  std::function<Result<>()> never = []() -> Result<> { return Fail(Code::kNotFound, "not yet"); };
  result.reset();
  context.restart();
  asio::co_spawn(context, LookUntilFound(context.get_executor(), std::chrono::seconds(0), never),
                 [&](std::exception_ptr, Result<> value) { result = std::move(value); });
  context.run();
  EXPECT_EQ(result->error().code(), Code::kNotFound);
  EXPECT_THAT(result->error().message(), HasSubstr("after 0 s: not yet"));
}

}  // namespace
}  // namespace kata::agent
