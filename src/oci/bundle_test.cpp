// SPDX-License-Identifier: Apache-2.0
#include "oci/bundle.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "oci/default_spec.h"

namespace kata::oci {
namespace {

class LoadBundleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "bundle.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = std::filesystem::canonical(pattern);
    std::filesystem::create_directory(path_ / "rootfs");
    Write(DefaultSpecJson());
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void Write(const std::string& text) { std::ofstream(path_ / "config.json") << text; }
  std::string ErrorOf(const std::string& path) {
    const Result<Bundle> bundle = LoadBundle(path);
    return bundle ? "" : bundle.error().message();
  }

  std::filesystem::path path_;
};

TEST_F(LoadBundleTest, ReadsABundle) {
  std::filesystem::create_directory_symlink(path_, path_ / "link");
  const Result<Bundle> bundle = LoadBundle((path_ / "link").string());
  ASSERT_TRUE(bundle) << bundle.error().message();
  EXPECT_EQ(bundle->path, path_);
  EXPECT_EQ(bundle->rootfs, path_ / "rootfs");
  EXPECT_EQ(bundle->oci_version, "1.1.0");
  EXPECT_EQ(bundle->spec.root().path(), "rootfs");
  EXPECT_TRUE(bundle->warnings.empty());
}

TEST_F(LoadBundleTest, SaysWhatIsMissing) {
  const Result<Bundle> nowhere = LoadBundle((path_ / "none").string());
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code(), Code::kNotFound);
  EXPECT_EQ(nowhere.error().message(), "bundle " + (path_ / "none").string() + ": No such file or directory");
  EXPECT_EQ(ErrorOf((path_ / "config.json").string()),
            "bundle " + (path_ / "config.json").string() + ": Not a directory");
  std::filesystem::remove(path_ / "rootfs");
  EXPECT_EQ(ErrorOf(path_.string()),
            "config.json: root.path: rootfs " + (path_ / "rootfs").string() + ": No such file or directory");
  std::ofstream(path_ / "rootfs") << "a file";
  EXPECT_EQ(ErrorOf(path_.string()),
            "config.json: root.path: rootfs " + (path_ / "rootfs").string() + ": Not a directory");
  std::filesystem::remove(path_ / "config.json");
  EXPECT_EQ(ErrorOf(path_.string()), "JSON specification file config.json not found in the bundle " + path_.string());
}

TEST_F(LoadBundleTest, DoesNotHangOnAFifo) {
  std::filesystem::remove(path_ / "config.json");
  ASSERT_EQ(::mkfifo((path_ / "config.json").c_str(), 0600), 0);
  EXPECT_EQ(ErrorOf(path_.string()), (path_ / "config.json").string() + " is not a regular file");
}

TEST_F(LoadBundleTest, NamesThePathAtFault) {
  Write(R"({"ociVersion": "1.1.0", "root": {"path": "rootfs"}, "process": {"args": ["a"], "cwd": "x"}})");
  EXPECT_EQ(ErrorOf(path_.string()), "config.json: process.cwd: \"x\" is not an absolute path");
  Write("{\n oops");
  EXPECT_TRUE(ErrorOf(path_.string()).starts_with("config.json:2:2: ")) << ErrorOf(path_.string());
}

// The spec that runc itself writes must be accepted.
TEST_F(LoadBundleTest, AcceptsWhatRuncWrites) {
  std::filesystem::remove(path_ / "config.json");
  ASSERT_EQ(std::system(("runc spec --bundle " + path_.string()).c_str()), 0);
  const Result<Bundle> bundle = LoadBundle(path_.string());
  ASSERT_TRUE(bundle) << bundle.error().message();
  EXPECT_TRUE(bundle->warnings.empty());
  EXPECT_EQ(bundle->spec.process().args(0), "sh");
}

}  // namespace
}  // namespace kata::oci
