// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace kata {
namespace {

// Every case runs with and without openat2.
class FilesTest : public ::testing::TestWithParam<bool> {
 protected:
  FilesTest() {
    DisableOpenat2ForTest(GetParam());
    std::string name = "/tmp/kata-files-XXXXXX";
    path_ = mkdtemp(name.data());
    root_ = Open(path_, O_PATH | O_DIRECTORY).value();
    mkdir((path_ + "/dir").c_str(), 0755);
    WriteNew("dir/file", "inside");
    EXPECT_EQ(symlink("/etc", (path_ + "/abs").c_str()), 0);
    EXPECT_EQ(symlink("../../../../etc", (path_ + "/up").c_str()), 0);
    EXPECT_EQ(symlink("dir", (path_ + "/rel").c_str()), 0);
    EXPECT_EQ(symlink("loop", (path_ + "/loop").c_str()), 0);
  }
  ~FilesTest() override {
    DisableOpenat2ForTest(false);
    EXPECT_TRUE(RemoveTree(path_));
  }
  void WriteNew(const std::string& name, const std::string& text) {
    const UniqueFd fd = Open(path_ + "/" + name, O_WRONLY | O_CREAT, 0644).value();
    ASSERT_TRUE(WriteAll(fd.get(), text));
  }
  std::string path_;
  UniqueFd root_;
};

TEST_P(FilesTest, BeneathOpensPlainPathsOnly) {
  EXPECT_EQ(ReadAll(OpenBeneath(root_.get(), "dir/file", O_RDONLY)->get()).value(), "inside");
  EXPECT_EQ(OpenBeneath(root_.get(), "rel/file", O_RDONLY).error().sys(), ELOOP);
  EXPECT_EQ(OpenBeneath(root_.get(), "rel", O_RDONLY).error().sys(), ELOOP);
  EXPECT_EQ(OpenBeneath(root_.get(), "../x", O_RDONLY).error().sys(), EXDEV);
  EXPECT_EQ(OpenBeneath(root_.get(), "/etc/passwd", O_RDONLY).error().sys(), EXDEV);
  EXPECT_FALSE(OpenBeneath(root_.get(), std::string_view("dir\0x", 5), O_RDONLY));
  EXPECT_TRUE(OpenBeneath(root_.get(), "dir/new", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

TEST_P(FilesTest, InRootFollowsLinksButNeverLeaves) {
  EXPECT_EQ(ReadAll(OpenInRoot(root_.get(), "/rel/file", O_RDONLY)->get()).value(), "inside");
  EXPECT_EQ(ReadAll(OpenInRoot(root_.get(), "../../dir/./file", O_RDONLY)->get()).value(), "inside");
  // /etc/passwd exists on the host but not in this root.
  EXPECT_EQ(OpenInRoot(root_.get(), "abs/passwd", O_RDONLY).error().sys(), ENOENT);
  EXPECT_EQ(OpenInRoot(root_.get(), "up/passwd", O_RDONLY).error().sys(), ENOENT);
  EXPECT_EQ(OpenInRoot(root_.get(), "loop", O_RDONLY).error().sys(), ELOOP);
}

TEST_P(FilesTest, MakesDirectoriesAndFilesInsideTheRootEvenThroughLinks) {
  EXPECT_TRUE(MakeDirsInRoot(root_.get(), "/rel/a/b/", 0755));
  EXPECT_EQ(access((path_ + "/dir/a/b").c_str(), F_OK), 0);
  EXPECT_TRUE(MakeDirsInRoot(root_.get(), "/rel/a/b", 0755));
  EXPECT_TRUE(MakeFileInRoot(root_.get(), "x/y/file", 0644));
  EXPECT_EQ(access((path_ + "/x/y/file").c_str(), F_OK), 0);
  EXPECT_EQ(MakeFileInRoot(root_.get(), "x/y", 0644).error().sys(), EISDIR);
  EXPECT_FALSE(MakeDirsInRoot(root_.get(), "dir/file", 0755));
  // The target of a dangling link is created inside the root, not on the host.
  EXPECT_EQ(symlink("/kata-does-not-exist/deep", (path_ + "/dangling").c_str()), 0);
  EXPECT_TRUE(MakeDirsInRoot(root_.get(), "dangling/x", 0755));
  EXPECT_NE(access("/kata-does-not-exist", F_OK), 0);
  EXPECT_EQ(access((path_ + "/kata-does-not-exist/deep/x").c_str(), F_OK), 0);
  EXPECT_EQ(symlink("../../../../run/kata-no/file", (path_ + "/dir/up").c_str()), 0);
  EXPECT_TRUE(MakeFileInRoot(root_.get(), "dir/up", 0644));
  EXPECT_EQ(access((path_ + "/run/kata-no/file").c_str(), F_OK), 0);
  EXPECT_NE(access("/run/kata-no", F_OK), 0);
  EXPECT_EQ(MakeDirsInRoot(root_.get(), "loop/x", 0755).error().sys(), ELOOP);
}

TEST_P(FilesTest, AtomicWriteReplaces) {
  const UniqueFd dir = Open(path_, O_RDONLY | O_DIRECTORY).value();
  EXPECT_TRUE(WriteFileAtomic(dir.get(), "state", "one", 0600));
  EXPECT_TRUE(WriteFileAtomic(dir.get(), "state", "two", 0600));
  EXPECT_EQ(ReadFile(path_ + "/state").value(), "two");
  const auto names = ListDir(dir.get()).value();
  EXPECT_EQ(std::count_if(names.begin(), names.end(), [](const auto& n) { return n.starts_with("."); }), 0);
}

INSTANTIATE_TEST_SUITE_P(Openat2, FilesTest, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "ByHand" : "Kernel"; });

TEST(RemoveTree, LeavesLinkTargetsAndMountsAlone) {
  std::string name = "/tmp/kata-remove-XXXXXX";
  const std::string path = mkdtemp(name.data());
  // In a mount namespace of a child, so that a fault here leaves no mount behind.
  const pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(10);
    mkdir((path + "/precious").c_str(), 0755);
    if (!Open(path + "/precious/file", O_CREAT | O_WRONLY, 0644)) _exit(11);
    mkdir((path + "/state").c_str(), 0755);
    mkdir((path + "/state/rootfs").c_str(), 0755);
    if (symlink("../precious", (path + "/state/link").c_str()) != 0) _exit(16);
    // A bind mount of the same file system, which the device number does not show.
    if (mount((path + "/precious").c_str(), (path + "/state/rootfs").c_str(), nullptr, MS_BIND, nullptr) != 0)
      _exit(12);
    const auto refused = RemoveTree(path + "/state");
    if (refused || refused.error().code() != Code::kFailedPrecondition) _exit(13);
    if (access((path + "/precious/file").c_str(), F_OK) != 0) _exit(14);
    if (umount((path + "/state/rootfs").c_str()) != 0) _exit(15);
    if (!RemoveTree(path + "/state")) _exit(16);
    if (access((path + "/precious/file").c_str(), F_OK) != 0) _exit(17);
    _exit(access((path + "/state").c_str(), F_OK) == 0 ? 18 : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(RemoveTree(path));
  EXPECT_TRUE(RemoveTree(path)) << "what is gone is gone";
}

TEST(PathOfFd, FollowsARename) {
  std::string path = ::testing::TempDir() + "path_XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  const auto directory = Open(path, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(directory);
  ASSERT_EQ(rename(path.c_str(), (path + "-later").c_str()), 0);
  EXPECT_EQ(PathOfFd(directory->get()).value(), std::filesystem::canonical(path + "-later").string());
  EXPECT_EQ(rmdir((path + "-later").c_str()), 0);
  EXPECT_EQ(PathOfFd(-1).error().code(), Code::kNotFound);
}

TEST(UnescapeMountinfo, KnowsOctalDigitsAndNothingElse) {
  EXPECT_EQ(UnescapeMountinfo(R"(/a\040b\011c\134)"), "/a b\tc\\");
  EXPECT_EQ(UnescapeMountinfo(R"(\04 \8 \xyz \)"), R"(\04 \8 \xyz \)");
  EXPECT_EQ(UnescapeMountinfo(""), "");
}

TEST(ReadAll, StopsAtTheLimit) { EXPECT_EQ(ReadFile("/dev/zero", 1000).error().code(), Code::kOutOfRange); }

// Opening a FIFO to read it would wait for a writer.
TEST(ReadRegularFile, TakesNothingElse) {
  std::string dir = ::testing::TempDir() + "regular_XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  const std::string fifo = dir + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {fifo, dir, std::string("/dev/zero")}) {
    const auto read = ReadRegularFile(path);
    ASSERT_FALSE(read) << path;
    EXPECT_EQ(read.error().code(), Code::kInvalidArgument) << path;
  }
  EXPECT_EQ(ReadRegularFile(dir + "/none").error().sys(), ENOENT);
  EXPECT_TRUE(ReadRegularFile("/proc/self/status"));
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace kata
