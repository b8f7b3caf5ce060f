// SPDX-License-Identifier: Apache-2.0
// The exact QMP arguments for a disk.
#include "hypervisor/qemu/disks.h"

#include <gtest/gtest.h>

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;

TEST(DisksTest, TheFormatIsAlwaysRaw) {
  const config::HypervisorConfig settings;
  EXPECT_EQ(BlockNode(settings, "file0", "/dev/fdset/1", true, false), Json::parse(R"({
    "driver": "raw", "node-name": "file0", "read-only": false, "discard": "unmap",
    "cache": {"direct": false, "no-flush": false},
    "file": {"driver": "file", "filename": "/dev/fdset/1", "aio": "threads", "read-only": false, "discard": "unmap",
             "cache": {"direct": false, "no-flush": false}}})"));
  const Json device = BlockNode(settings, "file1", "/dev/fdset/2", false, true);
  EXPECT_EQ(device["driver"], "raw");
  EXPECT_EQ(device["read-only"], true);
  EXPECT_EQ(device["file"]["driver"], "host_device");
  EXPECT_EQ(device["file"]["read-only"], true);
}

TEST(DisksTest, TheCacheIsAsTheKeysSay) {
  config::HypervisorConfig settings;
  settings.block_device_cache_direct = settings.block_device_cache_noflush = true;
  const auto cache = [&](const char* flag) {
    return BlockNode(settings, "n", "f", true, false)["file"]["cache"][flag].get<bool>();
  };
  EXPECT_FALSE(cache("direct")) << "block_device_cache_set is false";
  settings.block_device_cache_set = true;
  EXPECT_TRUE(cache("direct"));
  EXPECT_TRUE(cache("no-flush"));
  settings = {};
  settings.block_device_aio = "native";
  EXPECT_TRUE(cache("direct")) << "QEMU refuses native AIO without";
  EXPECT_FALSE(cache("no-flush"));
}

TEST(DisksTest, VirtioBlkAndScsi) {
  config::HypervisorConfig settings;
  EXPECT_EQ(DiskProperties(settings, "disk0", "file0", 0), Json::parse(R"({
    "driver": "virtio-blk-pci", "id": "disk0", "drive": "file0", "serial": "disk0", "disable-legacy": "on",
    "config-wce": false, "num-queues": 1, "queue-size": 128, "romfile": ""})"));
  EXPECT_FALSE(ControllerProperties(settings).contains("iothread"));
  settings.enable_iothreads = true;
  EXPECT_EQ(DiskProperties(settings, "disk0", "file0", 0)["iothread"], "disks");
  EXPECT_EQ(ControllerProperties(settings)["iothread"], "disks");
  settings.block_device_logical_sector_size = 4096;
  settings.block_device_physical_sector_size = 8192;
  settings.block_device_driver = "virtio-scsi";
  EXPECT_EQ(DiskProperties(settings, "disk258", "file258", 258), Json::parse(R"({
    "driver": "scsi-hd", "id": "disk258", "drive": "file258", "serial": "disk258", "bus": "scsi0.0", "scsi-id": 1,
    "lun": 2, "logical_block_size": 4096, "physical_block_size": 8192})"));
}

}  // namespace
}  // namespace kata::hypervisor::qemu
