// SPDX-License-Identifier: Apache-2.0
// FuseServer on an overlay, whose files have no handles: few of them are open, the others are found by their names, and
// never is another file taken for them.
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

constexpr size_t kPaths = 8;

class FuseServerPaths : public FuseServerTest {
 protected:
  static void SetUpTestSuite() { EnterOwnMounts(); }

  void SetUp() override {
    FuseServerTest::SetUp();
    ASSERT_EQ(mount("layers", path_.c_str(), "tmpfs", 0, "mode=0755"), 0);
    base_ = path_;
    for (const char* name : {"lower", "upper", "work", "share"})
      ASSERT_TRUE(std::filesystem::create_directory(Path(name)));
    Write("outside", "secret");
    path_ = base_ + "/share";
    const std::string options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", base_);
    ASSERT_EQ(mount("overlay", path_.c_str(), "overlay", 0, options.c_str()), 0);
    Serve({.max_paths = kPaths});
  }
  void TearDown() override {
    guest_.reset();
    server_.reset();
    EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    path_ = base_;
    EXPECT_EQ(Contents("outside"), "secret");
    EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    FuseServerTest::TearDown();
  }

  static size_t Descriptors() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  }
  void Make(const std::string& name) { ASSERT_TRUE(std::filesystem::create_directories(Path(name))); }
  int ErrorOf(uint64_t node) { return guest_->Call(FUSE_GETATTR, node, Struct(fuse_getattr_in{})).error; }
  // The number of the inode that a node leads to; 0: to none.
  uint64_t NumberOf(uint64_t node) { return guest_->Attributes(node).ino; }
  // Closes what is open and need not be.
  void UseOthers() {
    for (size_t i = 0; i < kPaths; ++i) {
      const std::string name = fmt::format("other{}", i);
      if (!std::filesystem::exists(Path(name))) Write(name, "");
      EXPECT_EQ(NumberOf(Node(name)), Status(name).st_ino);
    }
  }

  std::string base_;
};

TEST_F(FuseServerPaths, AreBoundedHoweverManyFilesAreKnown) {
  const size_t before = Descriptors();
  std::vector<uint64_t> nodes;
  for (int i = 0; i < 200; ++i) {
    const std::string name = fmt::format("d{}/f{}", i % 20, i);
    std::filesystem::create_directories(Path(fmt::format("d{}", i % 20)));
    Write(name, name);
    nodes.push_back(Node(name));
    EXPECT_LE(Descriptors(), before + kPaths);
  }
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 200; ++i) {
      const std::string name = fmt::format("d{}/f{}", i % 20, i);
      EXPECT_EQ(NumberOf(nodes[i]), Status(name).st_ino);
      const uint64_t fh = OpenFh(nodes[i], O_RDONLY);
      EXPECT_EQ(guest_->Read(nodes[i], fh, 0, 100).body, name);
      EXPECT_TRUE(guest_->Release(nodes[i], fh).ok());
      EXPECT_LE(Descriptors(), before + kPaths);
    }
  }
  // Looked up again, it is the same node.
  EXPECT_EQ(Node("d3/f3"), nodes[3]);
}

// Each file that is used lets another one be closed, which a request in another thread may be about to use.
TEST_F(FuseServerPaths, WhatAnotherThreadLetsBeClosedIsStillUsed) {
  Serve({.max_paths = 1});
  Make("dir");
  Write("first", "text");
  ASSERT_EQ(link(Path("first").c_str(), Path("second").c_str()), 0);
  const uint64_t dir = Node("dir");
  const uint64_t linked = Node("first");
  std::atomic<bool> over = false;
  std::atomic<int> errors = 0;
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i) {
    others.emplace_back([&] {
      while (!over) errors += ErrorOf(dir) == 0 ? 0 : 1;
    });
  }
  int nodes = 0;
  for (int i = 0; i < 20000; ++i) {
    errors += ErrorOf(linked) == 0 ? 0 : 1;
    nodes += Node(i % 2 == 0 ? "second" : "first") == linked ? 0 : 1;
  }
  over = true;
  for (auto& other : others) other.join();
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(nodes, 0);
}

TEST_F(FuseServerPaths, DeeperThanTheBound) {
  std::string path = "0";
  for (int i = 1; i < 50; ++i) path += "/" + std::to_string(i);
  Make(path);
  Write(path + "/file", "deep");
  const uint64_t file = Node(path + "/file");
  UseOthers();
  EXPECT_EQ(NumberOf(file), Status(path + "/file").st_ino);
}

TEST_F(FuseServerPaths, FollowTheGuestsRenames) {
  Make("a/b");
  Make("c");
  Write("a/b/file", "one");
  Write("c/file", "two");
  const uint64_t one = Node("a/b/file");
  const uint64_t two = Node("c/file");
  const uint64_t b = Node("a/b");
  EXPECT_TRUE(guest_->Rename(Node("a"), "b", Node("c"), "moved").ok());
  UseOthers();
  EXPECT_EQ(NumberOf(one), Status("c/moved/file").st_ino);
  EXPECT_EQ(NumberOf(b), Status("c/moved").st_ino);
  EXPECT_TRUE(guest_->Rename(b, "file", Node("c"), "file", RENAME_EXCHANGE).ok());
  UseOthers();
  EXPECT_EQ(NumberOf(one), Status("c/file").st_ino);
  EXPECT_EQ(NumberOf(two), Status("c/moved/file").st_ino);
  EXPECT_EQ(Contents("c/file"), "one");
}

TEST_F(FuseServerPaths, WhatTheGuestHasRemovedIsStillThere) {
  Write("file", "text");
  Make("dir");
  Write("by-rename", "text");
  Write("other", "text");
  const uint64_t file = Node("file");
  const uint64_t dir = Node("dir");
  const uint64_t replaced = Node("by-rename");
  EXPECT_TRUE(guest_->Unlink(kRoot, "file").ok());
  EXPECT_TRUE(guest_->RemoveDirectory(kRoot, "dir").ok());
  EXPECT_TRUE(guest_->Rename(kRoot, "other", kRoot, "by-rename").ok());
  UseOthers();
  EXPECT_EQ(guest_->Attributes(file).nlink, 0U);
  EXPECT_EQ(guest_->Attributes(replaced).nlink, 0U);
  EXPECT_TRUE(S_ISDIR(guest_->Attributes(dir).mode));
  const size_t before = Descriptors();
  for (const uint64_t node : {file, dir, replaced}) guest_->Forget(node, 100);
  EXPECT_EQ(Descriptors(), before - 3);
}

TEST_F(FuseServerPaths, OneNameOfSeveralGoes) {
  Write("first", "text");
  ASSERT_EQ(link(Path("first").c_str(), Path("second").c_str()), 0);
  const uint64_t node = Node("first");
  UseOthers();
  EXPECT_EQ(Node("second"), node);
  EXPECT_TRUE(guest_->Unlink(kRoot, "second").ok());
  UseOthers();
  EXPECT_EQ(guest_->Attributes(node).nlink, 1U);
  EXPECT_EQ(Node("first"), node);
  // It is found by the name that is left, and need not be open any more.
  UseOthers();
  const size_t before = Descriptors();
  guest_->Forget(node, 100);
  EXPECT_EQ(Descriptors(), before);
}

TEST_F(FuseServerPaths, WhatTheGuestHasOpenStaysWhenTheHostRemovesIt) {
  Write("file", "text");
  const uint64_t node = Node("file");
  const uint64_t fh = OpenFh(node, O_RDONLY);
  std::filesystem::remove(Path("file"));
  UseOthers();
  EXPECT_EQ(guest_->Attributes(node).nlink, 0U);
  const size_t before = Descriptors();
  EXPECT_TRUE(guest_->Release(node, fh).ok());
  guest_->Forget(node, 100);
  UseOthers();
  EXPECT_EQ(Descriptors(), before - 2);
}

TEST_F(FuseServerPaths, AnotherFileOfTheSameNameIsNotTakenForIt) {
  Write("file", "old");
  Make("dir");
  Write("dir/inner", "old");
  const uint64_t file = Node("file");
  const uint64_t inner = Node("dir/inner");
  UseOthers();
  Write("new", "new");
  std::filesystem::rename(Path("new"), Path("file"));
  std::filesystem::rename(Path("dir"), Path("elsewhere"));
  Make("dir");
  Write("dir/inner", "new");
  EXPECT_EQ(ErrorOf(file), ESTALE);
  EXPECT_EQ(ErrorOf(inner), ESTALE);
  EXPECT_NE(Node("file"), file);
  EXPECT_NE(Node("dir/inner"), inner);
}

TEST_F(FuseServerPaths, SymbolicLinksLeadNowhere) {
  Write("outside", "inside");
  Make("dir");
  Write("dir/outside", "inside");
  const uint64_t file = Node("outside");
  const uint64_t inner = Node("dir/outside");
  UseOthers();
  std::filesystem::remove_all(Path("dir"));
  std::filesystem::remove(Path("outside"));
  std::filesystem::create_symlink(base_, Path("dir"));
  std::filesystem::create_symlink(base_ + "/outside", Path("outside"));
  for (const uint64_t node : {file, inner}) {
    EXPECT_EQ(ErrorOf(node), ESTALE);
    EXPECT_EQ(guest_->Open(node, O_RDONLY).error, ESTALE);
    EXPECT_EQ(guest_->SetXattr(node, "user.x", "x").error, ESTALE);
  }
}

TEST_F(FuseServerPaths, AForgottenDirectoryLeadsToNothing) {
  Make("dir/sub");
  Write("dir/sub/file", "text");
  const uint64_t file = Node("dir/sub/file");
  const size_t before = Descriptors();
  guest_->Forget(Node("dir/sub"), 100);
  UseOthers();
  EXPECT_LE(Descriptors(), before + kPaths);
  EXPECT_EQ(ErrorOf(file), ESTALE);
  EXPECT_EQ(Node("dir/sub/file"), file);
  EXPECT_EQ(ErrorOf(file), 0);
}

TEST_F(FuseServerPaths, DentriesInACircleEnd) {
  Make("a/b");
  const uint64_t a = Node("a");
  const uint64_t b = Node("a/b");
  // Behind the server's back, so that `b` is believed to be in `a`, and `a` is found in `b`.
  UseOthers();
  EXPECT_EQ(NumberOf(b), Status("a/b").st_ino);
  std::filesystem::rename(Path("a/b"), Path("b"));
  std::filesystem::rename(Path("a"), Path("b/a"));
  EXPECT_EQ(guest_->Lookup(b, "a").As<fuse_entry_out>().nodeid, a);
  UseOthers();
  EXPECT_EQ(ErrorOf(a), ESTALE);
  EXPECT_EQ(ErrorOf(b), ESTALE);
  EXPECT_EQ(NumberOf(Node("b/a")), Status("b/a").st_ino);
}

TEST_F(FuseServerPaths, OtherErrorsStayWhatTheyAre) {
  Make("a/b");
  Write("a/b/file", "text");
  const uint64_t file = Node("a/b/file");
  UseOthers();
  // Where there are no descriptors, the guest makes room and tries again.
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none = {3, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ(ErrorOf(file), EMFILE);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(ErrorOf(file), 0);
}

}  // namespace
}  // namespace kata::fsd
