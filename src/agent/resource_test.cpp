// SPDX-License-Identifier: Apache-2.0
// Device numbers, metrics, and volumes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agent/devices.h"
#include "agent/metrics.h"
#include "agent/storage/temp_dir_test.h"
#include "agent/volume.h"

namespace kata::agent {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

grpc::Spec SpecWithDisk(const std::string& path, int64_t major, int64_t minor) {
  grpc::Spec spec;
  auto* device = spec.mutable_linux()->add_devices();
  device->set_path(path);
  device->set_type("b");
  device->set_major(major);
  device->set_minor(minor);
  auto* rule = spec.mutable_linux()->mutable_resources()->add_devices();
  rule->set_type("b");
  rule->set_allow(true);
  rule->set_major(major);
  rule->set_minor(minor);
  return spec;
}

TEST(DevicesTest, NumbersOfTheHostBecomeThoseOfTheGuest) {
  grpc::Spec spec = SpecWithDisk("/dev/xda", 8, 16);
  spec.MergeFrom(SpecWithDisk("/dev/xdb", 254, 0));
  auto* other = spec.mutable_linux()->mutable_resources()->add_devices();
  other->set_type("c");
  other->set_major(8);
  other->set_minor(16);
  // Crosswise: the first gets the numbers that the second had.
  ASSERT_TRUE(RenumberDevices({{"/dev/xda", 254, 0}, {"/dev/xdb", 254, 16}}, spec));
  const auto& devices = spec.linux().devices();
  EXPECT_EQ((devices[0].major)(), 254);
  EXPECT_EQ((devices[0].minor)(), 0);
  EXPECT_EQ((devices[1].minor)(), 16);
  const auto& rules = spec.linux().resources().devices();
  EXPECT_EQ((rules[0].major)(), 254);
  EXPECT_EQ((rules[0].minor)(), 0);
  EXPECT_EQ((rules[1].minor)(), 16);
  EXPECT_EQ((rules[2].major)(), 8) << "a character device is another one";
  EXPECT_EQ(RenumberDevices({{"/dev/other", 1, 1}}, spec).error().code(), Code::kInvalidArgument);
}

TEST(DevicesTest, LimitsOfIoFollowTheDisk) {
  grpc::Spec spec = SpecWithDisk("/dev/xda", 8, 16);
  auto& limits = *spec.mutable_linux()->mutable_resources()->mutable_blockio();
  auto* weight = limits.add_weightdevice();
  weight->set_major(8);
  weight->set_minor(16);
  auto* bytes = limits.add_throttlewritebpsdevice();
  bytes->set_major(8);
  bytes->set_minor(16);
  bytes->set_rate(1000);
  auto* other = limits.add_throttlereadiopsdevice();
  other->set_major(8);
  other->set_minor(32);
  ASSERT_TRUE(RenumberDevices({{"/dev/xda", 254, 3}}, spec));
  EXPECT_EQ((limits.weightdevice(0).major)(), 254);
  EXPECT_EQ((limits.throttlewritebpsdevice(0).minor)(), 3);
  EXPECT_EQ(limits.throttlewritebpsdevice(0).rate(), 1000U);
  EXPECT_EQ((limits.throttlereadiopsdevice(0).minor)(), 32);
}

TEST(DevicesTest, AMountBindsTheGuestsNode) {
  grpc::Spec spec = SpecWithDisk("/data/disk", 8, 16);
  spec.MergeFrom(SpecWithDisk("/dev/xdb", 8, 32));
  spec.add_mounts()->set_source("disk-0");
  spec.add_mounts()->set_source("/disk-0");
  ASSERT_TRUE(
      RenumberDevices({{"/data/disk", 254, 0, "disk-0", "/dev/vda"}, {"/dev/xdb", 254, 16, "", "/dev/vdb"}}, spec));
  EXPECT_EQ(spec.mounts(0).source(), "/dev/vda");
  EXPECT_EQ(spec.mounts(1).source(), "/disk-0");
  ASSERT_EQ(spec.linux().devices_size(), 1) << "the one that is bound is no node besides";
  EXPECT_EQ(spec.linux().devices(0).path(), "/dev/xdb");
  EXPECT_EQ((spec.linux().resources().devices(0).major)(), 254);
}

TEST(DevicesTest, OnlyDisks) {
  Devices devices;
  auto* device = devices.Add();
  for (const char* type : {"blk", "scsi", "mmioblk", "nvdimm"}) {
    device->set_type(type);
    EXPECT_TRUE(CheckDevices(devices)) << type;
  }
  device->set_type("vfio-pci");
  EXPECT_EQ(CheckDevices(devices).error().code(), Code::kUnimplemented);
  device->set_type("teapot");
  EXPECT_EQ(CheckDevices(devices).error().code(), Code::kInvalidArgument);
}

TEST(MetricsTest, IsPrometheusTextWithKatasNames) {
  const std::string text = Metrics(7);
  std::set<std::string> names;
  std::string current;
  size_t start = 0;
  for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    const std::string line = text.substr(start, end - start);
    if (line.starts_with("# TYPE ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(names.insert(current).second) << "twice: " << current;
      continue;
    }
    EXPECT_THAT(line, MatchesRegex(R"([a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.]+)"));
    EXPECT_TRUE(line.starts_with(current)) << line;
  }
  EXPECT_EQ(start, text.size());
  for (const char* name :
       {"kata_agent_scrape_count", "kata_agent_threads", "kata_agent_total_time", "kata_agent_total_vm",
        "kata_agent_total_rss", "kata_agent_proc_status", "kata_agent_io_stat", "kata_agent_proc_stat",
        "kata_agent_process_open_fds", "kata_guest_load", "kata_guest_tasks", "kata_guest_cpu_time",
        "kata_guest_vm_stat", "kata_guest_netdev_stat", "kata_guest_diskstat", "kata_guest_meminfo",
        "kata_guest_filesystem_bytes", "kata_guest_filesystem_inodes"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_THAT(text, HasSubstr("kata_agent_scrape_count 7\n"));
  EXPECT_THAT(text, HasSubstr("kata_agent_threads 1\n"));
  EXPECT_THAT(text, HasSubstr("kata_guest_meminfo{item=\"mem_total\"} "));
  EXPECT_THAT(text, HasSubstr("kata_guest_meminfo{item=\"active_anon\"} "));
  EXPECT_THAT(text, HasSubstr("kata_guest_cpu_time{cpu=\"total\",item=\"user\"} "));
  EXPECT_THAT(text, HasSubstr("kata_guest_netdev_stat{interface=\"lo\",item=\"recv_bytes\"} "));
  EXPECT_THAT(text, HasSubstr("kata_agent_proc_status{item=\"vmrss\"} "));
  EXPECT_THAT(text, HasSubstr("kata_agent_io_stat{item=\"readbytes\"} "));
}

using VolumeTest = TempDirTest;

TEST_F(VolumeTest, StatsAreThoseOfTheFileSystem) {
  ASSERT_TRUE(root().MakeDirs(path() + "/volume", 0755));
  const auto stats = VolumeStats(root(), path() + "/volume");
  ASSERT_TRUE(stats) << stats.error().message();
  ASSERT_EQ(stats->usage_size(), 2);
  EXPECT_EQ(stats->usage(0).unit(), grpc::VolumeUsage::BYTES);
  EXPECT_GT(stats->usage(0).total(), 0U);
  EXPECT_LE(stats->usage(0).used(), stats->usage(0).total());
  EXPECT_EQ(stats->usage(1).unit(), grpc::VolumeUsage::INODES);
  EXPECT_FALSE(stats->volume_condition().abnormal());
  EXPECT_FALSE(VolumeStats(root(), "/etc"));
  EXPECT_FALSE(VolumeStats(root(), path() + "/missing"));
  EXPECT_FALSE(ResizeVolume(root(), "/etc", 1 << 20));
}

}  // namespace
}  // namespace kata::agent
