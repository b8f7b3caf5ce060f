// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/host_mounts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <optional>

#include "base/files.h"
#include "sandbox/files/memory_volume.h"

namespace kata::sandbox {
namespace {

TEST(HostMountsTest, ReadsTheKernelsFormat) {
  const auto mounts = ParseMounts(
      "23 1 0:21 / /proc rw,nosuid shared:2 - proc proc rw\n"
      "77 23 0:40 /a\\040b /mnt/c\\134d rw - tmpfs tmpfs rw\n"
      "no line\n\n12");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].id, 23);
  EXPECT_EQ(mounts[0].root, "/");
  EXPECT_EQ(mounts[0].point, "/proc");
  EXPECT_EQ(mounts[1].root, "/a b");
  EXPECT_EQ(mounts[1].point, "/mnt/c\\d");
}

// A pod's directory in the kubelet's layout, with real mounts in the mount namespace of a child. Needs root.
class VolumeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string made = "/tmp/kata-volume-test-XXXXXX";
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    pod_ = made;
    volume_ = pod_ + "/volumes/kubernetes.io~empty-dir/memory";
    part_ = pod_ + "/volume-subpaths/memory/main/0";
    for (const auto& directory : {volume_, part_, pod_ + "/volumes/kubernetes.io~empty-dir/disk"}) {
      std::filesystem::create_directories(directory);
    }
  }
  void TearDown() override { std::filesystem::remove_all(pod_); }

  // Mounts the volume and binds a directory of it, as for a subPath.
  void Mount() const {
    ASSERT_EQ(mount("tmpfs", volume_.c_str(), "tmpfs", 0, "size=1m,mode=2770,gid=4321"), 0);
    std::filesystem::create_directories(volume_ + "/a/b");
    ASSERT_EQ(chmod((volume_ + "/a/b").c_str(), 0750), 0);
    ASSERT_EQ(mount((volume_ + "/a/b").c_str(), part_.c_str(), nullptr, MS_BIND, nullptr), 0);
  }
  static void InNamespace(const std::function<void()>& body) {
    const pid_t child = fork();
    if (child == 0) {
      if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(2);
      body();
      _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  static std::optional<MemoryVolume> At(const std::string& path) {
    const auto source = Open(path, O_PATH);
    if (!source) return std::nullopt;
    auto volume = MemoryVolumeAt(source->get(), path);
    EXPECT_TRUE(volume) << volume.error().message();
    return volume ? *volume : std::nullopt;
  }

  std::string pod_, volume_, part_;
};

constexpr char kInGuest[] = "/run/kata-containers/sandbox/ephemeral/memory";

TEST_F(VolumeTest, AWholeOneKeepsOwnerModeAndSize) {
  InNamespace([this] {
    Mount();
    const auto volume = At(volume_);
    ASSERT_TRUE(volume);
    EXPECT_EQ(volume->path, kInGuest);
    ASSERT_EQ(volume->storages.size(), 1U);
    const auto& options = volume->storages[0].options();
    const std::vector<std::string> expected = {"mode=2770", "uid=0", "gid=4321", "size=1048576"};
    EXPECT_EQ(std::vector<std::string>(options.begin(), options.end()), expected);
  });
}

TEST_F(VolumeTest, APartIsADirectoryOfTheWhole) {
  InNamespace([this] {
    Mount();
    const auto whole = At(volume_);
    const auto part = At(part_);
    ASSERT_TRUE(whole && part);
    EXPECT_EQ(part->path, std::string(kInGuest) + "/a/b");
    ASSERT_EQ(part->storages.size(), 2U);
    EXPECT_EQ(part->storages[0].SerializeAsString(), whole->storages[0].SerializeAsString());
    EXPECT_EQ(part->storages[1].driver(), "local");
    EXPECT_EQ(part->storages[1].mount_point(), part->path);
    EXPECT_EQ(part->storages[1].options(0), "mode=750");
  });
}

TEST_F(VolumeTest, OthersAreNone) {
  InNamespace([this] {
    Mount();
    EXPECT_FALSE(At(pod_ + "/volumes/kubernetes.io~empty-dir/disk")) << "on a disk";
    EXPECT_FALSE(At(volume_ + "/a")) << "not a volume's own directory";
    EXPECT_FALSE(At("/proc"));
    // A subPath with this volume's name that is on another file system.
    ASSERT_EQ(umount(part_.c_str()), 0);
    ASSERT_EQ(mount("tmpfs", part_.c_str(), "tmpfs", 0, nullptr), 0);
    EXPECT_FALSE(At(part_));
  });
}

TEST_F(VolumeTest, MountsBelow) {
  InNamespace([this] {
    EXPECT_FALSE(*HasMountsBelow(pod_));
    Mount();
    EXPECT_TRUE(*HasMountsBelow(pod_));
    EXPECT_TRUE(*HasMountsBelow(pod_ + "/volumes"));
    EXPECT_FALSE(*HasMountsBelow(volume_)) << "it is one itself";
    EXPECT_FALSE(*HasMountsBelow(pod_ + "/vol"));
  });
}

}  // namespace
}  // namespace kata::sandbox
