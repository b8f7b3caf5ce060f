// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/storage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/storage/storage_options.h"
#include "agent/storage/temp_dir_test.h"
#include "base/files.h"

namespace kata::agent {
namespace {

using Storages = google::protobuf::RepeatedPtrField<grpc::Storage>;

// Runs in a mount namespace of its own, so that no mount is visible on this host.
class StorageTest : public TempDirTest {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
  }
  void TearDown() override { (void)table_.ReleaseAll(); }

  grpc::Storage* AddTo(Storages& storages, const std::string& driver, const std::string& name) const {
    auto* storage = storages.Add();
    storage->set_driver(driver);
    storage->set_mount_point(path() + "/" + name);
    return storage;
  }

  long TypeOf(const std::string& name) const {
    struct statfs info {};
    EXPECT_EQ(statfs((path() + "/" + name).c_str(), &info), 0) << name;
    return info.f_type;
  }

  bool Exists(const std::string& name) const { return access((path() + "/" + name).c_str(), F_OK) == 0; }

  StorageTable table_{root()};
};

TEST_F(StorageTest, EphemeralIsATmpfsWithOptionsAndGroup) {
  Storages storages;
  auto* storage = AddTo(storages, "ephemeral", "sandbox/ephemeral/x");
  storage->set_fstype("tmpfs");
  storage->set_source("tmpfs");
  storage->add_options("size=1M");
  storage->add_options("noexec");
  storage->mutable_fs_group()->set_group_id(4321);
  auto points = table_.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  EXPECT_EQ(TypeOf("sandbox/ephemeral/x"), TMPFS_MAGIC);
  struct statfs info {};
  ASSERT_EQ(statfs((path() + "/sandbox/ephemeral/x").c_str(), &info), 0);
  EXPECT_EQ(info.f_blocks * static_cast<uint64_t>(info.f_bsize), 1U << 20U);
  EXPECT_NE(info.f_flags & ST_NOEXEC, 0);
  struct stat status {};
  ASSERT_EQ(stat((path() + "/sandbox/ephemeral/x").c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, 4321U);
  EXPECT_EQ(status.st_mode & 02070U, 02070U);
  ASSERT_TRUE(table_.Release(*points));
  EXPECT_EQ(TypeOf("sandbox/ephemeral/x"), TMPFS_MAGIC) << "the sandbox's own stay for the next container";
  ASSERT_TRUE(table_.Add(storages));
  ASSERT_TRUE(table_.Release(*points));
  EXPECT_EQ(TypeOf("sandbox/ephemeral/x"), TMPFS_MAGIC);
  ASSERT_TRUE(table_.ReleaseAll());
  EXPECT_FALSE(Exists("sandbox/ephemeral/x")) << "unmounted, and its mount point is gone";
  EXPECT_EQ(table_.size(), 0U);
}

TEST_F(StorageTest, SharedOnesAreCounted) {
  Storages storages;
  AddTo(storages, "ephemeral", "shm")->set_source("shm");
  auto first = table_.Add(storages);
  auto second = table_.Add(storages);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(table_.Release(*first));
  EXPECT_EQ(TypeOf("shm"), TMPFS_MAGIC) << "the other one still uses it";
  Storages other = storages;
  other.at(0).add_options("size=2M");
  EXPECT_EQ(table_.Add(other).error().code(), Code::kAlreadyExists);
  ASSERT_TRUE(table_.Release(*second));
  EXPECT_FALSE(Exists("shm"));
}

TEST_F(StorageTest, LocalIsADirectoryWithAMode) {
  Storages storages;
  AddTo(storages, "local", "volume")->add_options("mode=1770");
  auto points = table_.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  struct stat status {};
  ASSERT_EQ(stat((path() + "/volume").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 01770U);
  ASSERT_EQ(mkdir((path() + "/volume/inside").c_str(), 0755), 0);
  ASSERT_TRUE(table_.Release(*points));
  EXPECT_FALSE(Exists("volume"));
  Storages bad;
  AddTo(bad, "local", "volume")->add_options("mode=rwx");
  EXPECT_EQ(table_.Add(bad).error().code(), Code::kInvalidArgument);
}

TEST_F(StorageTest, BindTakesDirectoriesAndFilesAndOptions) {
  ASSERT_TRUE(root().MakeDirs(path() + "/source", 0755));
  ASSERT_TRUE(WriteFileAtomic(Open(path() + "/source", O_RDONLY | O_DIRECTORY)->get(), "file", "content", 0644));
  Storages storages;
  auto* directory = AddTo(storages, "bind", "directory");
  directory->set_source(path() + "/source");
  directory->add_options("ro");
  auto* file = AddTo(storages, "bind", "a/file");
  file->set_source(path() + "/source/file");
  auto points = table_.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  EXPECT_EQ(*ReadFile(path() + "/directory/file"), "content");
  EXPECT_EQ(*ReadFile(path() + "/a/file"), "content");
  EXPECT_EQ(open((path() + "/directory/new").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
  EXPECT_EQ(errno, EROFS);
  ASSERT_TRUE(table_.Release(*points));
  EXPECT_FALSE(Exists("directory"));
  EXPECT_FALSE(Exists("a/file"));
  EXPECT_EQ(*ReadFile(path() + "/source/file"), "content") << "what was bound stays";
}

TEST_F(StorageTest, AllOrNothing) {
  Storages storages;
  AddTo(storages, "ephemeral", "one")->set_source("tmpfs");
  AddTo(storages, "no-such-driver", "two");
  auto points = table_.Add(storages);
  ASSERT_FALSE(points);
  EXPECT_EQ(points.error().code(), Code::kInvalidArgument);
  EXPECT_NE(points.error().message().find("no-such-driver"), std::string::npos);
  EXPECT_FALSE(Exists("one"));
  EXPECT_EQ(table_.size(), 0U);
}

TEST_F(StorageTest, MountPointsAreBelowTheRootAndBehindNoLink) {
  ASSERT_EQ(symlink(outside().c_str(), (path() + "/link").c_str()), 0);
  for (const char* name : {"link", "link/x", "../outside", "../outside/x"}) {
    for (const char* driver : {"ephemeral", "local", "bind", "virtio-fs", "9p"}) {
      Storages storages;
      AddTo(storages, driver, name)->set_source(path());
      EXPECT_FALSE(table_.Add(storages)) << driver << " at " << name;
    }
  }
  struct statfs info {};
  ASSERT_EQ(statfs(outside().c_str(), &info), 0);
  EXPECT_EQ(ListDir(Open(outside(), O_RDONLY | O_DIRECTORY)->get())->size(), 0U);
  Storages storages;
  AddTo(storages, "bind", "b")->set_source(path() + "/link");
  EXPECT_FALSE(table_.Add(storages)) << "a source that is a link";
  storages.at(0).set_source("/etc");
  EXPECT_FALSE(table_.Add(storages)) << "a source outside";
}

TEST_F(StorageTest, BusyOnesAreUnmountedLazily) {
  Storages storages;
  AddTo(storages, "ephemeral", "busy")->set_source("tmpfs");
  auto points = table_.Add(storages);
  ASSERT_TRUE(points);
  const auto held = Open(path() + "/busy/open", O_WRONLY | O_CREAT, 0600);
  ASSERT_TRUE(held);
  ASSERT_TRUE(table_.ReleaseAll());
  EXPECT_FALSE(Exists("busy"));
}

TEST_F(StorageTest, FailuresNameDriverAndPlace) {
  Storages storages;
  auto* storage = AddTo(storages, "virtio-fs", "shared");
  storage->set_source("noSuchTag");
  auto points = table_.Add(storages);
  ASSERT_FALSE(points);
  EXPECT_NE(points.error().message().find("virtio-fs"), std::string::npos) << points.error().message();
  EXPECT_NE(points.error().message().find("noSuchTag"), std::string::npos) << points.error().message();
  Storages huge;
  AddTo(huge, "ephemeral", "huge")->set_fstype("hugetlbfs");
  EXPECT_EQ(table_.Add(huge).error().code(), Code::kInvalidArgument) << "without page size";
  Storages group;
  AddTo(group, "bind", "grouped")->mutable_fs_group()->set_group_id(1);
  EXPECT_EQ(table_.Add(group).error().code(), Code::kUnimplemented);
}

TEST(StorageOptionsTest, SplitsFlagsAndData) {
  const auto parsed = ParseStorageOptions({"ro", "nosuid", "rw", "size=1M", "rslave", "mode=700", ""});
  EXPECT_EQ(parsed.flags, static_cast<unsigned long>(MS_NOSUID));
  EXPECT_EQ(parsed.propagation, static_cast<unsigned long>(MS_SLAVE | MS_REC));
  EXPECT_EQ(parsed.data, "size=1M,mode=700");
}

}  // namespace
}  // namespace kata::agent
