// SPDX-License-Identifier: Apache-2.0
// File systems on disks (loop devices), overlay layers, groups of volumes, and resizing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <fstream>

#include "agent/storage/storage.h"
#include "agent/storage/temp_dir_test.h"
#include "base/child.h"
#include "base/files.h"

namespace kata::agent {
namespace {

namespace fs = std::filesystem;
using Storages = google::protobuf::RepeatedPtrField<grpc::Storage>;

class DiskTest : public TempDirTest {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
  }
  void TearDown() override { EXPECT_TRUE(table_.ReleaseAll()); }

  grpc::Storage* AddTo(Storages& storages, const std::string& driver, const std::string& name) const {
    auto* storage = storages.Add();
    storage->set_driver(driver);
    storage->set_mount_point(path() + "/" + name);
    return storage;
  }
  void Put(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(path() + "/" + name).parent_path());
    std::ofstream(path() + "/" + name) << text;
  }
  struct stat Status(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(lstat((path() + "/" + name).c_str(), &status), 0) << name;
    return status;
  }

  // Makes a loop device with an ext4 file system. It is detached after its descriptor is closed and it is unmounted.
  std::string MakeDisk(const std::string& name) {
    const std::string image = path() + "/" + name;
    Command mkfs;
    std::ofstream(image).close();
    fs::resize_file(image, 8 << 20);
    mkfs.argv = {"mkfs.ext4", "-q", "-F", image};
    auto child = Spawn(mkfs);
    EXPECT_TRUE(child) << child.error().message();
    EXPECT_EQ(child->Wait()->Shell(), 0);
    const auto file = Open(image, O_RDWR).value();
    const auto control = Open("/dev/loop-control", O_RDWR).value();
    for (;;) {
      const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
      EXPECT_GE(number, 0);
      std::string device = "/dev/loop" + std::to_string(number);
      loop_ = Open(device, O_RDWR).value();
      loop_config config{};
      config.fd = static_cast<uint32_t>(file.get());
      config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
      if (ioctl(loop_.get(), LOOP_CONFIGURE, &config) == 0) return device;
      EXPECT_EQ(errno, EBUSY);  // somebody else was faster
      if (errno != EBUSY) return device;
    }
  }

  UniqueFd loop_;
  StorageTable table_{root()};
};

TEST_F(DiskTest, MountsWhatIsOnADisk) {
  const std::string disk = MakeDisk("image");
  for (const char* driver : {"blk", "scsi", "mmioblk", "nvdimm"}) {
    Storages storages;
    auto* storage = AddTo(storages, driver, "disks/one");
    storage->set_source(disk);
    EXPECT_EQ(table_.Add(storages).error().code(), Code::kInvalidArgument) << "without fstype";
    storage->set_fstype("ext4");
    storage->add_options("ro");
    auto points = table_.Add(storages);
    ASSERT_TRUE(points) << points.error().message();
    struct statfs info {};
    ASSERT_EQ(statfs((path() + "/disks/one").c_str(), &info), 0);
    EXPECT_EQ(info.f_type, 0xEF53);
    EXPECT_NE(info.f_flags & ST_RDONLY, 0);
    ASSERT_TRUE(table_.Release(*points));
    storage->set_fstype("xfs");
    const auto other = table_.Add(storages);
    ASSERT_FALSE(other);
    EXPECT_NE(other.error().message().find(disk), std::string::npos) << other.error().message();
    storage->add_driver_options("encryption_key=ephemeral");
    EXPECT_EQ(table_.Add(storages).error().code(), Code::kUnimplemented);
  }
}

TEST_F(DiskTest, AGroupGetsAllOfAVolume) {
  Storages storages;
  auto* storage = AddTo(storages, "blk", "volume");
  storage->set_source(MakeDisk("image"));
  storage->set_fstype("ext4");
  auto points = table_.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  Put("volume/d/file", "x");
  ASSERT_EQ(chmod((path() + "/volume/d/file").c_str(), 0600), 0);
  ASSERT_EQ(symlink(outside().c_str(), (path() + "/volume/link").c_str()), 0);
  ASSERT_TRUE(table_.Release(*points));

  storage->mutable_fs_group()->set_group_id(4321);
  points = table_.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  EXPECT_EQ(Status("volume").st_gid, 4321U);
  EXPECT_EQ(Status("volume/d").st_mode & 07777U, 02775U);
  EXPECT_EQ(Status("volume/d/file").st_gid, 4321U);
  EXPECT_EQ(Status("volume/d/file").st_mode & 0777U, 0660U);
  EXPECT_EQ(Status("volume/link").st_gid, 4321U);
  struct stat other {};
  ASSERT_EQ(stat(outside().c_str(), &other), 0);
  EXPECT_NE(other.st_gid, 4321U) << "nothing behind a link";

  // OnRootMismatch changes nothing if the root belongs to the group already.
  ASSERT_EQ(chown((path() + "/volume/d/file").c_str(), 0, 7), 0);
  ASSERT_TRUE(table_.Release(*points));
  storage->mutable_fs_group()->set_group_change_policy(types::OnRootMismatch);
  points = table_.Add(storages);
  ASSERT_TRUE(points);
  EXPECT_EQ(Status("volume/d/file").st_gid, 7U);
  ASSERT_TRUE(table_.Release(*points));
  storage->mutable_fs_group()->set_group_id(99);
  points = table_.Add(storages);
  ASSERT_TRUE(points);
  EXPECT_EQ(Status("volume/d/file").st_gid, 99U);
  ASSERT_TRUE(table_.Release(*points));
  // A read-only volume stays as it is.
  storage->add_options("ro");
  storage->mutable_fs_group()->set_group_id(100);
  ASSERT_TRUE(table_.Add(storages));
  EXPECT_EQ(Status("volume/d/file").st_gid, 99U);
}

TEST_F(DiskTest, LayersAreWithinTheRootAndNamedByDescriptor) {
  // Uses a tmpfs, because this host's root may be an overlay, which cannot be a layer.
  Storages base;
  AddTo(base, "ephemeral", "base")->set_source("tmpfs");
  ASSERT_TRUE(table_.Add(base));
  Put("base/a,b/one", "lower");
  Put("base/two/two", "second");
  Storages storages;
  auto* storage = AddTo(storages, "overlayfs", "base/container/rootfs");
  storage->add_options("lowerdir=" + path() + "/base/a,b:" + path() + "/base/two");
  auto points = table_.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  EXPECT_EQ(*ReadFile(path() + "/base/container/rootfs/one"), "lower");
  EXPECT_EQ(*ReadFile(path() + "/base/container/rootfs/two"), "second");
  EXPECT_FALSE(Open(path() + "/base/container/rootfs/one", O_WRONLY)) << "there is no upper layer";
  ASSERT_TRUE(table_.Release(*points));

  storage->add_options("io.katacontainers.fs-opt.overlay-rw");
  points = table_.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  Put("base/container/rootfs/one", "changed");
  EXPECT_EQ(*ReadFile(path() + "/base/container/upper/one"), "changed");
  EXPECT_EQ(*ReadFile(path() + "/base/a,b/one"), "lower");
  ASSERT_TRUE(table_.Release(*points));
  EXPECT_FALSE(fs::exists(path() + "/base/container/upper"));
  EXPECT_FALSE(fs::exists(path() + "/base/container/work"));

  ASSERT_EQ(symlink(outside().c_str(), (path() + "/base/link").c_str()), 0);
  for (const std::string& bad :
       {outside(), std::string("/etc"), path() + "/base/link", path() + "/base/../../outside"}) {
    Storages other;
    AddTo(other, "overlayfs", "base/other")->add_options("lowerdir=" + bad);
    EXPECT_FALSE(table_.Add(other)) << bad;
  }
  Storages unknown;
  AddTo(unknown, "overlayfs", "base/other")->add_options("io.katacontainers.volume=x");
  EXPECT_EQ(table_.Add(unknown).error().code(), Code::kUnimplemented);
}

TEST_F(DiskTest, EphemeralStoragesGetNewSizes) {
  Storages storages;
  auto* storage = AddTo(storages, "ephemeral", "shm");
  storage->set_source("tmpfs");
  storage->add_options("size=1M");
  EXPECT_EQ(table_.Remount(storages).error().code(), Code::kNotFound);
  ASSERT_TRUE(table_.Add(storages));
  Put("shm/file", std::string(900 << 10, 'x'));
  storage->set_options(0, "size=4M");
  ASSERT_TRUE(table_.Remount(storages));
  struct statfs info {};
  ASSERT_EQ(statfs((path() + "/shm").c_str(), &info), 0);
  EXPECT_EQ(info.f_blocks * static_cast<uint64_t>(info.f_bsize), 4U << 20U);
  EXPECT_EQ(Status("shm/file").st_size, 900 << 10) << "what is in it stays";
  ASSERT_TRUE(table_.Add(storages)) << "it is the same storage as before";
  storage->set_options(0, "size=64k");
  EXPECT_FALSE(table_.Remount(storages)) << "less than what is used";
}

}  // namespace
}  // namespace kata::agent
