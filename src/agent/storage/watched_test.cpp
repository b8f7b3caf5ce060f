// SPDX-License-Identifier: Apache-2.0
// Copies of secrets and config maps, which the tests lay out and change as the kubelet does.
#include "agent/storage/watched.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <filesystem>
#include <fstream>

#include "agent/storage/storage.h"
#include "agent/storage/temp_dir_test.h"
#include "base/files.h"

namespace kata::agent {
namespace {

namespace fs = std::filesystem;

class WatchedTest : public TempDirTest {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
  }
  WatchedTest() {
    fs::create_directories(source());
    fs::create_directories(target());
  }
  std::string source() const { return path() + "/source"; }
  std::string target() const { return path() + "/target"; }
  static void Put(const std::string& file, const std::string& text) { std::ofstream(file) << text; }
  // Publishes a new version of all keys as the kubelet's atomic writer does.
  void Publish(const std::string& version, const std::map<std::string, std::string>& keys) const {
    const std::string directory = source() + "/.." + version;
    fs::create_directory(directory);
    for (const auto& [key, text] : keys) Put(directory + "/" + key, text);
    const fs::path old = fs::is_symlink(source() + "/..data") ? fs::read_symlink(source() + "/..data") : fs::path();
    fs::create_symlink(".." + version, source() + "/..data_tmp");
    fs::rename(source() + "/..data_tmp", source() + "/..data");
    for (const auto& [key, text] : keys) {
      if (!fs::is_symlink(source() + "/" + key)) fs::create_symlink("..data/" + key, source() + "/" + key);
    }
    if (!old.empty()) fs::remove_all(source() + "/" + old.string());
  }
  Watched Make() const {
    return {Open(source(), O_PATH | O_DIRECTORY).value(), Open(target(), O_RDONLY | O_DIRECTORY).value()};
  }
};

TEST_F(WatchedTest, FollowsTheKubelet) {
  Publish("2024_1", {{"user", "me"}, {"password", "old"}});
  auto watched = Make();
  EXPECT_TRUE(watched.Fits().value());
  ASSERT_TRUE(watched.Update());
  EXPECT_EQ(*ReadFile(target() + "/password"), "old");
  EXPECT_EQ(fs::read_symlink(target() + "/..data"), "..2024_1");
  Publish("2024_2", {{"user", "me"}, {"password", "new"}, {"more", "x"}});
  fs::remove(source() + "/user");
  ASSERT_TRUE(watched.Update());
  EXPECT_EQ(*ReadFile(target() + "/password"), "new");
  EXPECT_EQ(*ReadFile(target() + "/more"), "x");
  EXPECT_EQ(fs::read_symlink(target() + "/..data"), "..2024_2");
  EXPECT_FALSE(fs::exists(target() + "/..2024_1")) << "the old version is gone";
  EXPECT_FALSE(fs::is_symlink(target() + "/user"));
}

TEST_F(WatchedTest, TakesOverContentsRightsAndKinds) {
  Put(source() + "/a", "one");
  Put(source() + "/b", "file");
  fs::create_directories(source() + "/d/e");
  Put(source() + "/d/e/f", "deep");
  auto watched = Make();
  ASSERT_TRUE(watched.Update());
  struct stat before {};
  ASSERT_EQ(stat((target() + "/d/e/f").c_str(), &before), 0);

  Put(source() + "/a", "two");
  ASSERT_EQ(chown((source() + "/a").c_str(), 1000, 2000), 0);
  ASSERT_EQ(chmod((source() + "/a").c_str(), 0440), 0);
  fs::remove(source() + "/b");
  fs::create_directory(source() + "/b");
  Put(source() + "/b/in", "now a directory");
  ASSERT_TRUE(watched.Update());
  EXPECT_EQ(*ReadFile(target() + "/a"), "two");
  struct stat status {};
  ASSERT_EQ(stat((target() + "/a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0440U);
  EXPECT_EQ(status.st_uid, 1000U);
  EXPECT_EQ(status.st_gid, 2000U);
  EXPECT_EQ(*ReadFile(target() + "/b/in"), "now a directory");
  ASSERT_EQ(stat((target() + "/d/e/f").c_str(), &status), 0);
  EXPECT_EQ(status.st_ino, before.st_ino) << "what has not changed is not touched";
  fs::remove_all(source() + "/d");
  ASSERT_TRUE(watched.Update());
  EXPECT_FALSE(fs::exists(target() + "/d"));
}

TEST_F(WatchedTest, OnlySmallOnesFit) {
  for (int i = 0; i < 16; ++i) Put(source() + "/" + std::to_string(i), "x");
  EXPECT_TRUE(Make().Fits().value());
  Put(source() + "/16", "x");
  EXPECT_FALSE(Make().Fits().value());
  fs::remove(source() + "/16");
  Put(source() + "/0", std::string((1 << 20) - 14, 'x'));
  EXPECT_FALSE(Make().Fits().value());
  Put(source() + "/0", std::string((1 << 20) - 15, 'x'));
  EXPECT_TRUE(Make().Fits().value());
}

TEST_F(WatchedTest, AsAStorage) {
  StorageTable table(root());
  google::protobuf::RepeatedPtrField<grpc::Storage> storages;
  auto* storage = storages.Add();
  storage->set_driver("watchable-bind");
  storage->set_source(source());
  storage->set_mount_point(path() + "/watchable/secret");
  ASSERT_EQ(chmod(source().c_str(), 01777), 0);
  Publish("1", {{"key", "first"}});
  EXPECT_FALSE(table.UpdateWatched());
  auto points = table.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  struct statfs info {};
  ASSERT_EQ(statfs((path() + "/watchable/secret").c_str(), &info), 0);
  EXPECT_EQ(info.f_type, TMPFS_MAGIC);
  struct stat status {};
  ASSERT_EQ(stat((path() + "/watchable/secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 01777U);
  EXPECT_EQ(*ReadFile(path() + "/watchable/secret/key"), "first");
  Publish("2", {{"key", "second"}});
  EXPECT_TRUE(table.UpdateWatched());
  EXPECT_EQ(*ReadFile(path() + "/watchable/secret/key"), "second");
  ASSERT_TRUE(table.Release(*points));
  EXPECT_FALSE(fs::exists(path() + "/watchable/secret"));
  EXPECT_FALSE(table.UpdateWatched());

  // A larger directory or a file is bind-mounted.
  for (int i = 0; i < 20; ++i) Put(source() + "/" + std::to_string(i), "x");
  auto* file = storages.Add();
  file->set_driver("watchable-bind");
  file->set_source(source() + "/3");
  file->set_mount_point(path() + "/watchable/file");
  points = table.Add(storages);
  ASSERT_TRUE(points) << points.error().message();
  EXPECT_FALSE(table.HasWatched());
  EXPECT_EQ(*ReadFile(path() + "/watchable/file"), "x");
  Put(source() + "/new", "seen at once");
  EXPECT_EQ(*ReadFile(path() + "/watchable/secret/new"), "seen at once");
  ASSERT_TRUE(table.Release(*points));
}

}  // namespace
}  // namespace kata::agent
