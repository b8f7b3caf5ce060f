// SPDX-License-Identifier: Apache-2.0
// Disks of a fake VM, and the disks of one container.
#include "sandbox/devices/disks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "sandbox/devices/container_disks.h"
#include "sandbox/files/disk_mounts.h"
#include "sandbox/testing/fake_hypervisor.h"
#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DisksTest : public testing::LoopTest {
 protected:
  DisksTest() : fake_vm_(std::make_shared<testing::FakeVm>(io_.get_executor())) {
    disks_ = std::make_shared<Disks>(io_.get_executor(), std::make_shared<testing::FakeHypervisor>(fake_vm_),
                                     MountNamespaces());
    dir_.Write("image", "not empty");
    image_ = dir_.path() + "/image";
  }

  std::string Claim(bool read_only) {
    auto claimed = disks_->Claim(image_, read_only);
    EXPECT_TRUE(claimed) << claimed.error().message();
    return claimed ? claimed->key : "";
  }
  static RootfsMounts Rootfs(const std::string& type, const std::string& source,
                             const std::vector<std::string>& options) {
    RootfsMounts mounts;
    containerd::types::Mount& mount = *mounts.Add();
    mount.set_type(type);
    mount.set_source(source);
    for (const std::string& option : options) mount.add_options(option);
    return mounts;
  }

  testing::TempDir dir_;
  std::string image_;
  std::shared_ptr<testing::FakeVm> fake_vm_;
  std::shared_ptr<Disks> disks_;
};

TEST_F(DisksTest, OnePlugForAllUsersAndAllNamesOfAFile) {
  ASSERT_EQ(symlink("image", (dir_.path() + "/link").c_str()), 0);
  const std::string key = Claim(false);
  const auto again = disks_->Claim(dir_.path() + "/link", true);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->key, key);
  EXPECT_FALSE(again->read_only) << "the first one writes";
  const auto address = Await(disks_->Plug(key));
  ASSERT_TRUE(address);
  EXPECT_EQ(Await(disks_->Plug(key))->address, address->address);
  EXPECT_THAT(fake_vm_->plugged, ElementsAre("d0 rw"));
  Await(disks_->Release(key));
  EXPECT_TRUE(fake_vm_->unplugged.empty());
  Await(disks_->Release(key));
  EXPECT_THAT(fake_vm_->unplugged, ElementsAre("d0"));
  const std::string later = Claim(true);
  ASSERT_TRUE(Await(disks_->Plug(later)));
  EXPECT_THAT(fake_vm_->plugged, ElementsAre("d0 rw", "d1 ro"));
}

TEST_F(DisksTest, WhoComesLaterDoesNotMakeItWritable) {
  const std::string key = Claim(true);
  const auto writer = disks_->Claim(image_, false);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code(), Code::kFailedPrecondition);
  Await(disks_->Release(key));
  EXPECT_TRUE(disks_->Claim(image_, false)) << "what was never plugged is forgotten";
}

TEST_F(DisksTest, WhatIsNoDisk) {
  dir_.Write("empty", "");
  ASSERT_EQ(mkfifo((dir_.path() + "/fifo").c_str(), 0600), 0);
  for (const char* name : {"empty", "fifo", "", "../../dev/null"}) {
    const auto claimed = disks_->Claim(dir_.path() + "/" + name, true);
    ASSERT_FALSE(claimed) << name;
    EXPECT_NE(claimed.error().code(), Code::kUnknown);
  }
  EXPECT_EQ(disks_->Claim(dir_.path() + "/none", true).error().code(), Code::kNotFound);
  EXPECT_EQ(disks_->Claim(DeviceNumber{1, 3}, true).error().code(), Code::kNotFound);
}

TEST_F(DisksTest, OneThatCannotBePluggedIsTriedAgainAndOneThatStaysIsUsedAgain) {
  const std::string key = Claim(false);
  fake_vm_->disk_result = Fail(Code::kFailedPrecondition, "Failed to get \"write\" lock");
  const auto failed = Await(disks_->Plug(key));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(failed.error().message(), HasSubstr("in use by another virtual machine"));
  fake_vm_->disk_result = {};
  ASSERT_TRUE(Await(disks_->Plug(key)));
  fake_vm_->disk_result = Fail(Code::kDeadlineExceeded, "the guest does not answer");
  Await(disks_->Release(key));
  EXPECT_EQ(Claim(false), key);
  EXPECT_TRUE(Await(disks_->Plug(key))) << "it is still there";
  EXPECT_THAT(fake_vm_->plugged, ElementsAre("d0 rw"));
}

TEST_F(DisksTest, ARootfsBecomesAStorage) {
  ContainerDisks disks(disks_, "c1", true);
  grpc::CreateContainerRequest request;
  const RootfsMounts mounts = Rootfs("ext4", image_, {"loop", "ro", "noatime", "errors=panic"});
  ASSERT_TRUE(IsRootfsOnDisk(mounts));
  ASSERT_TRUE(PutRootfsOnDisk(mounts, disks, request));
  ASSERT_TRUE(Await(disks.Plug(request)));
  ASSERT_EQ(request.storages_size(), 1);
  const grpc::Storage& storage = request.storages(0);
  EXPECT_EQ(storage.driver(), "blk");
  EXPECT_EQ(storage.source(), "1d/01");
  EXPECT_EQ(storage.fstype(), "ext4");
  EXPECT_THAT(storage.options(), ElementsAre("noatime", "errors=panic", "ro"));
  EXPECT_EQ(request.oci().root().path(), storage.mount_point());
  EXPECT_TRUE(request.oci().root().readonly());
  EXPECT_THAT(fake_vm_->plugged, ElementsAre("d0 ro"));
  const Error about = disks.Explain(Error(Code::kInternal, "cannot mount at " + storage.mount_point() + " with"));
  EXPECT_THAT(about.message(), HasSubstr("rootfs[0] (" + image_ + "): "));
  EXPECT_EQ(disks.Explain(Error(Code::kInternal, "at " + storage.mount_point() + "0")).message().find("rootfs"),
            std::string::npos);
  Await(disks.Release());
  EXPECT_THAT(fake_vm_->unplugged, ElementsAre("d0"));
}

TEST_F(DisksTest, WhichRootfsIsForTheHost) {
  EXPECT_FALSE(IsRootfsOnDisk({}));
  EXPECT_FALSE(IsRootfsOnDisk(Rootfs("overlay", "overlay", {"lowerdir=/a:/b"})));
  EXPECT_FALSE(IsRootfsOnDisk(Rootfs("bind", image_, {"rbind"})));
  EXPECT_FALSE(IsRootfsOnDisk(Rootfs("btrfs", "/dev/sda1", {"subvolid=5"}))) << "others are on the same device";
  EXPECT_TRUE(IsRootfsOnDisk(Rootfs("xfs", "/dev/mapper/snap-1", {"nouuid"})));
  RootfsMounts two = Rootfs("erofs", image_, {"ro"});
  two.Add()->set_type("overlay");
  EXPECT_FALSE(IsRootfsOnDisk(two));
}

TEST_F(DisksTest, AMountOfASpecIsABindOfTheGuestsFileSystem) {
  ContainerDisks disks(disks_, "c1", true);
  grpc::CreateContainerRequest request;
  grpc::Mount mount;
  mount.set_type("ext4");
  mount.set_source(image_);
  for (const char* option : {"loop", "ro", "nosuid", "data=ordered", "rprivate"}) mount.add_options(option);
  ASSERT_TRUE(IsMountOnDisk(mount));
  grpc::Mount for_host = mount;
  ASSERT_TRUE(PutMountOnDisk("mounts[0].source", image_, disks, mount, request));
  EXPECT_EQ(mount.type(), "bind");
  EXPECT_EQ(mount.source(), request.storages(0).mount_point());
  EXPECT_THAT(mount.options(), ElementsAre("bind", "ro", "nosuid", "rprivate"));
  EXPECT_THAT(request.storages(0).options(), ElementsAre("data=ordered", "ro"));
  const containerd::types::Mount host = TakeMountForHost(image_, for_host);
  EXPECT_EQ(host.type(), "ext4");
  EXPECT_THAT(host.options(), ElementsAre("ro", "loop", "data=ordered"));
  EXPECT_THAT(for_host.options(), ElementsAre("bind", "ro", "nosuid", "rprivate"));
  mount.add_options("rbind");
  EXPECT_FALSE(IsMountOnDisk(mount));
}

TEST_F(DisksTest, NothingWhenDisksAreKeptOut) {
  ContainerDisks disks(disks_, "c1", false);
  grpc::CreateContainerRequest request;
  const auto failed = disks.AddNode({.field = "linux.devices[0]", .path = "/dev/x", .number = {8, 0}}, request);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message(), HasSubstr("linux.devices[0] (/dev/x): "));
  EXPECT_THAT(failed.error().message(), HasSubstr("disable_block_device_use"));
  EXPECT_TRUE(disks.empty());
}

}  // namespace
}  // namespace kata::sandbox
