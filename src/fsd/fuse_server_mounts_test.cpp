// SPDX-License-Identifier: Apache-2.0
// FuseServer on mounts: one file of the host is one inode of the guest, and what is read-only stays so.
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <thread>

#include "fsd/fuse_extensions.h"
#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

enum class Rights { kWritable, kReadOnly };

// As the sandbox does it: the shared directory is a tmpfs of mount points.
class FuseServerMounts : public FuseServerTest {
 protected:
  static void SetUpTestSuite() { EnterOwnMounts(); }

  void SetUp() override {
    FuseServerTest::SetUp();
    ASSERT_EQ(mount("shared", path_.c_str(), "tmpfs", 0, "mode=0755"), 0);
    char path[] = "/tmp/fsd-source-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    source_ = path;
    for (const char* name : {"", "/x", "/x/sub", "/x/sub/deep", "/y"}) Make(source_ + name);
    WriteTo(source_ + "/x/file", "text");
    WriteTo(source_ + "/x/sub/file", "sub");
    Serve({});
  }
  void TearDown() override {
    guest_.reset();
    server_.reset();
    EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    EXPECT_TRUE(RemoveTree(source_));
    FuseServerTest::TearDown();
  }

  static void Make(const std::string& path) { std::filesystem::create_directory(path); }
  void Bind(const std::string& from, const std::string& name, Rights rights = Rights::kWritable) {
    const std::string to = Path(name);
    if (std::filesystem::is_directory(from)) {
      Make(to);
    } else {
      Write(name, "");
    }
    ASSERT_EQ(mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr), 0) << from;
    if (rights == Rights::kWritable) return;
    ASSERT_EQ(mount(nullptr, to.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
  }
  static void Tmpfs(const std::string& path) { ASSERT_EQ(mount("t", path.c_str(), "tmpfs", 0, nullptr), 0); }
  static size_t Descriptors() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  }

  std::string source_;
};

TEST_F(FuseServerMounts, ADirectoryThatIsMountedTwiceIsOne) {
  Bind(source_ + "/x", "a");
  Bind(source_ + "/x", "b");
  EXPECT_EQ(Node("a"), Node("b"));
  EXPECT_EQ(Node("a/file"), Node("b/file"));
  EXPECT_EQ(Node("a/sub/file"), Node("b/sub/file"));
  EXPECT_NE(Node("a/sub/file"), Node("a/file"));
  EXPECT_TRUE(guest_->Rename(Node("a"), "file", Node("b/sub"), "moved").ok());
  EXPECT_TRUE(guest_->Link(Node("b/sub/moved"), Node("a"), "linked").ok());
  EXPECT_EQ(Node("b/linked"), Node("a/sub/moved"));
}

TEST_F(FuseServerMounts, ADirectoryBelowAnother) {
  Bind(source_ + "/x/sub", "c");
  const uint64_t deep = Node("c/deep");
  const uint64_t file = Node("c/file");
  Bind(source_ + "/x", "a");
  EXPECT_EQ(Node("a/sub"), Node("c"));
  EXPECT_EQ(Node("a/sub/file"), file);
  // `deep` was not looked up again since; still both are in one mount.
  EXPECT_TRUE(guest_->Rename(Node("a"), "file", deep, "moved").ok());
  EXPECT_TRUE(guest_->Link(file, Node("a"), "linked").ok());
  EXPECT_EQ(Node("c/deep/moved"), Node("a/sub/deep/moved"));
}

TEST_F(FuseServerMounts, MountPointsAreTold) {
  Bind(source_ + "/x", "a");
  Bind(source_ + "/x/file", "file");
  Bind("/proc/sys", "other");
  const auto entry = guest_->Lookup(kRoot, "a").As<fuse_entry_out>();
  EXPECT_EQ(entry.attr.flags & 0xffffU, static_cast<uint32_t>(FUSE_ATTR_SUBMOUNT));
  EXPECT_NE(entry.attr.flags >> 16U, 0U);
  EXPECT_EQ(guest_->Lookup(Node("a"), "sub").As<fuse_entry_out>().attr.flags, 0U);
  EXPECT_EQ(guest_->Lookup(kRoot, "file").As<fuse_entry_out>().attr.flags, entry.attr.flags);
  EXPECT_EQ(guest_->Lookup(Node("a"), "file").As<fuse_entry_out>().attr.flags, 0U);
  EXPECT_EQ(Node("file"), Node("a/file"));
  EXPECT_NE(guest_->Lookup(kRoot, "other").As<fuse_entry_out>().attr.flags >> 16U, entry.attr.flags >> 16U);
  FuseServer::Options options;
  options.announce_submounts = false;
  Serve(std::move(options));
  EXPECT_EQ(guest_->Lookup(kRoot, "a").As<fuse_entry_out>().attr.flags, 0U);
}

TEST_F(FuseServerMounts, ASyncOfTheRootIsOneOfAll) {
  Bind(source_ + "/x", "a");
  Bind(source_ + "/x/file", "file");
  ASSERT_EQ(mkfifo((source_ + "/fifo").c_str(), 0644), 0);
  Bind(source_ + "/fifo", "fifo");
  for (const char* name : {"a", "file", "fifo"}) EXPECT_NE(Node(name), 0U);
  EXPECT_TRUE(guest_->Call(FUSE_SYNCFS, kRoot, Struct(fuse_syncfs_in{})).ok());
  EXPECT_EQ(guest_->Call(FUSE_SYNCFS, Node("fifo"), Struct(fuse_syncfs_in{})).error, EINVAL);
}

TEST_F(FuseServerMounts, WhatIsReadOnlyStaysSo) {
  Bind(source_ + "/x", "a", Rights::kReadOnly);
  const uint64_t a = Node("a");
  const uint64_t file = Node("a/file");
  EXPECT_EQ(guest_->Open(file, O_RDWR).error, EROFS);
  EXPECT_EQ(guest_->Open(file, O_RDONLY | O_TRUNC).error, EROFS);
  const uint64_t fh = OpenFh(file, O_RDONLY);
  EXPECT_EQ(guest_->Write(file, fh, 0, "x").error, EBADF);
  EXPECT_EQ(guest_->Create(a, "new", O_RDWR, 0644).error, EROFS);
  EXPECT_EQ(guest_->Create(a, "#1", O_RDWR, 0644, FUSE_TMPFILE).error, EROFS);
  EXPECT_EQ(guest_->MakeDirectory(a, "new", 0755).error, EROFS);
  EXPECT_EQ(guest_->MakeNode(a, "new", S_IFIFO | 0644).error, EROFS);
  EXPECT_EQ(guest_->Symlink(a, "new", "x").error, EROFS);
  EXPECT_EQ(guest_->Link(file, a, "new").error, EROFS);
  EXPECT_EQ(guest_->Unlink(a, "file").error, EROFS);
  EXPECT_EQ(guest_->RemoveDirectory(a, "sub").error, EROFS);
  EXPECT_EQ(guest_->Rename(a, "file", a, "new").error, EROFS);
  EXPECT_EQ(guest_->SetXattr(file, "user.x", "x").error, EROFS);
  EXPECT_EQ(guest_->RemoveXattr(file, "user.x").error, EROFS);
  fuse_setattr_in in = {};
  for (const uint32_t valid : {FATTR_MODE, FATTR_UID, FATTR_SIZE, FATTR_MTIME, FATTR_SIZE | FATTR_FH}) {
    in.valid = valid;
    in.fh = fh;
    EXPECT_EQ(guest_->SetAttributes(file, in).error, (valid & FATTR_FH) != 0 ? EINVAL : EROFS) << valid;
  }
  fuse_ioctl_in flags = {};
  flags.fh = fh;
  flags.cmd = 0x40086602;  // FS_IOC_SETFLAGS
  EXPECT_EQ(guest_->Call(FUSE_IOCTL, file, Struct(flags) + Struct(uint32_t{64})).error, EROFS);
}

TEST_F(FuseServerMounts, WhatIsReachedByAWritableMountIsWritable) {
  Bind(source_ + "/x", "readonly", Rights::kReadOnly);
  const uint64_t file = Node("readonly/file");
  const uint64_t sub = Node("readonly/sub");
  EXPECT_EQ(guest_->Open(file, O_RDWR).error, EROFS);
  Bind(source_ + "/x", "writable");
  EXPECT_EQ(guest_->Open(file, O_RDWR).error, EROFS);
  EXPECT_EQ(Node("writable"), Node("readonly"));
  // The guest's kernel knows these names; it does not look them up again.
  EXPECT_TRUE(guest_->Open(file, O_RDWR).ok());
  EXPECT_TRUE(guest_->MakeDirectory(sub, "new", 0755).ok());
}

TEST_F(FuseServerMounts, APartIsWritable) {
  Bind(source_ + "/x", "all", Rights::kReadOnly);
  Bind(source_ + "/x/sub", "part");
  const uint64_t all = Node("all");
  const uint64_t sub = Node("all/sub");
  EXPECT_EQ(guest_->Create(sub, "new", O_RDWR, 0644).error, EROFS);
  EXPECT_EQ(Node("part"), sub);
  EXPECT_TRUE(guest_->Create(sub, "new", O_RDWR, 0644).ok());
  EXPECT_EQ(guest_->Create(all, "new", O_RDWR, 0644).error, EROFS);
  EXPECT_EQ(guest_->Open(Node("all/file"), O_RDWR).error, EROFS);
  EXPECT_EQ(guest_->Rename(sub, "new", all, "out").error, EXDEV);
}

TEST_F(FuseServerMounts, ADirectoryWithTwoContentsIsTwo) {
  Bind(source_ + "/x", "plain");
  Bind(source_ + "/x", "covered");
  Tmpfs(Path("covered/sub"));
  Write("covered/sub/inner", "inner");
  EXPECT_NE(Node("plain"), Node("covered"));
  EXPECT_NE(Node("plain/file"), Node("covered/file"));
  EXPECT_EQ(Node("plain/sub/inner"), 0U);
  EXPECT_NE(Node("covered/sub/inner"), 0U);
  EXPECT_NE(Node("plain/sub/deep"), 0U);
  EXPECT_EQ(Node("covered/sub/deep"), 0U);
  EXPECT_NE(guest_->Lookup(Node("covered"), "sub").As<fuse_entry_out>().attr.flags & FUSE_ATTR_SUBMOUNT, 0U);
  // Another part of that file system is in no doubt.
  Bind(source_ + "/y", "y");
  EXPECT_NE(Node("y"), 0U);
}

TEST_F(FuseServerMounts, TheSameMountsBelowBoth) {
  Tmpfs(source_ + "/x/sub");
  WriteTo(source_ + "/x/sub/inner", "inner");
  Bind(source_ + "/x", "a");
  Bind(source_ + "/x", "b");
  EXPECT_EQ(Node("a"), Node("b"));
  EXPECT_EQ(Node("a/sub"), Node("b/sub"));
  EXPECT_EQ(Node("a/sub/inner"), Node("b/sub/inner"));
  EXPECT_NE(Node("a/sub/inner"), 0U);
  ASSERT_EQ(umount2((source_ + "/x/sub").c_str(), MNT_DETACH), 0);
}

TEST_F(FuseServerMounts, MountsThatGoAndCome) {
  for (int i = 0; i < 20; ++i) {
    const std::string name = fmt::format("m{}", i % 2);
    const std::string from = source_ + (i % 3 == 0 ? "/x" : "/y");
    Bind(from, name, i % 5 == 0 ? Rights::kReadOnly : Rights::kWritable);
    const uint64_t node = Node(name);
    EXPECT_EQ(guest_->Lookup(node, "file").error, i % 3 == 0 ? 0 : ENOENT) << i;
    EXPECT_EQ(guest_->MakeDirectory(node, "d", 0755).error, i % 5 == 0 ? EROFS : 0) << i;
    if (i % 5 != 0) {
      EXPECT_TRUE(guest_->RemoveDirectory(node, "d").ok());
    }
    ASSERT_EQ(umount2(Path(name).c_str(), MNT_DETACH), 0);
    // The mount is no longer held when nothing of it is known: its number is used again.
    EXPECT_EQ(guest_->Lookup(kRoot, name).As<fuse_entry_out>().attr.flags, 0U);
    guest_->Call(FUSE_DESTROY, 0, "");
    guest_->Init();
  }
}

TEST_F(FuseServerMounts, TheTypeOfAFileSystemIsToldIfFuseCanBeTakenForIt) {
  const auto type = [&](uint64_t node) {
    return guest_->Call(FUSE_STATFS, node, "").As<fuse_statfs_out>().st.spare[kStatFsType];
  };
  EXPECT_EQ(type(kRoot), uint32_t{TMPFS_MAGIC});
  Make(Path("cgroups"));
  ASSERT_EQ(mount("c", Path("cgroups").c_str(), "cgroup2", 0, nullptr), 0);
  EXPECT_EQ(type(Node("cgroups")), 0U);
  EXPECT_EQ(umount2(Path("cgroups").c_str(), MNT_DETACH), 0);
}

// The guest forgets a removed file by a request of its own, which another thread may handle later than the next write.
TEST_F(FuseServerMounts, SpaceThatIsBeingGivenBackIsWaitedFor) {
  // On a busy host the other thread may begin late.
  Serve({.space_wait = std::chrono::seconds(20)});
  Make(source_ + "/full");
  ASSERT_EQ(mount("t", (source_ + "/full").c_str(), "tmpfs", 0, "size=256k"), 0);
  Bind(source_ + "/full", "full");
  const uint64_t full = Node("full");
  const std::string text(256U << 10U, 'x');
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(guest_->MakeNode(full, "big", S_IFREG | 0644).ok());
    const uint64_t big = Node("full/big");
    const uint64_t fh = OpenFh(big, O_WRONLY);
    ASSERT_TRUE(guest_->Write(big, fh, 0, text).ok());  // all that there is
    ASSERT_TRUE(guest_->Release(big, fh).ok());
    ASSERT_TRUE(guest_->MakeNode(full, "next", S_IFREG | 0644).ok());
    const uint64_t next = Node("full/next");
    const uint64_t other = OpenFh(next, O_WRONLY);
    ASSERT_TRUE(guest_->Unlink(full, "big").ok());
    std::thread forgets([&] { guest_->Forget(big, 100); });
    const auto written = guest_->Write(next, other, 0, text);
    forgets.join();
    EXPECT_TRUE(written.ok()) << "round " << round << ", error " << written.error;
    ASSERT_TRUE(guest_->Release(next, other).ok());
    ASSERT_TRUE(guest_->Unlink(full, "next").ok());
    guest_->Forget(next, 100);
  }
  EXPECT_EQ(umount2((source_ + "/full").c_str(), MNT_DETACH), 0);
}

TEST_F(FuseServerMounts, ANoteThatMayBeLostIsNotLostForAnyReason) {
  std::filesystem::create_symlink("file", source_ + "/x/link");
  Bind(source_ + "/x", "a");
  Bind(source_ + "/y", "b", Rights::kReadOnly);
  EXPECT_TRUE(guest_->SetXattr(Node("a/link"), "trusted.overlay.origin", "x").ok());
  std::filesystem::create_symlink("file", source_ + "/y/link");
  EXPECT_EQ(guest_->SetXattr(Node("b/link"), "trusted.overlay.origin", "x").error, EROFS);
}

TEST_F(FuseServerMounts, DescriptorsDoNotGrowWithWhatIsKnown) {
  Bind(source_ + "/x", "a");
  const uint64_t a = Node("a");
  const size_t before = Descriptors();
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(guest_->MakeNode(a, fmt::format("{}", i), S_IFREG | 0644).ok());
  // One for the directory, of the few that were used last.
  EXPECT_EQ(Descriptors(), before + 1);
  // A name that goes leaves its file to the guest, until that forgets it.
  const uint64_t file = Node("a/7");
  const uint64_t dir = Node("a/sub/deep");
  EXPECT_TRUE(guest_->Unlink(a, "7").ok());
  EXPECT_TRUE(guest_->RemoveDirectory(Node("a/sub"), "deep").ok());
  EXPECT_EQ(guest_->Attributes(file).nlink, 0U);
  EXPECT_TRUE(S_ISDIR(guest_->Attributes(dir).mode));
  EXPECT_EQ(guest_->MakeDirectory(dir, "x", 0755).error, ENOENT);
  EXPECT_TRUE(guest_->Rename(a, "8", a, "9").ok());
  EXPECT_EQ(Descriptors(), before + 2 + 3);
  guest_->Forget(file, 100);
  guest_->Forget(dir, 100);
  EXPECT_EQ(Descriptors(), before + 2 + 1);
}

TEST_F(FuseServerMounts, ANumberThatIsUsedAgainIsAnotherFile) {
  Bind(source_ + "/x", "a");
  const uint64_t a = Node("a");
  const uint64_t old = Node("a/file");
  const ino_t number = Status("a/file").st_ino;
  // Removed on the host, where nobody tells the server.
  bool again = false;
  for (int i = 0; i < 1000 && !again; ++i) {
    ASSERT_EQ(unlink(Path("a/file").c_str()), 0);
    WriteTo(Path("a/other"), "other");
    ASSERT_EQ(rename(Path("a/other").c_str(), Path("a/file").c_str()), 0);
    again = Status("a/file").st_ino == number;
  }
  const auto entry = guest_->Lookup(a, "file").As<fuse_entry_out>();
  EXPECT_NE(entry.nodeid, old);
  EXPECT_EQ(entry.attr.size, 5U);
  EXPECT_EQ(guest_->Call(FUSE_GETATTR, old, Struct(fuse_getattr_in{})).error, ESTALE);
  guest_->Forget(old, 1);
  EXPECT_EQ(Node("a/file"), entry.nodeid);
}

TEST_F(FuseServerMounts, WithoutHandles) {
  // An overlay has none.
  for (const char* name : {"/lower", "/upper", "/work", "/merged", "/lower/sub"}) Make(source_ + name);
  WriteTo(source_ + "/lower/sub/file", "lower");
  const std::string options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", source_);
  ASSERT_EQ(mount("o", (source_ + "/merged").c_str(), "overlay", 0, options.c_str()), 0);
  Bind(source_ + "/merged", "a");
  Bind(source_ + "/merged/sub", "b");
  const uint64_t file = Node("b/file");
  EXPECT_EQ(Node("a/sub/file"), file);
  EXPECT_TRUE(guest_->Write(file, OpenFh(file, O_RDWR), 0, "upper").ok());
  EXPECT_EQ(Contents("a/sub/file"), "upper");
  EXPECT_TRUE(guest_->Rename(Node("a/sub"), "file", Node("a"), "moved").ok());
  EXPECT_EQ(guest_->Attributes(file).size, 5U);
  EXPECT_TRUE(guest_->SetXattr(Node("a"), "trusted.overlay.opaque", "y").ok());
  EXPECT_EQ(guest_->GetXattr(Node("a"), "trusted.overlay.opaque").body, "y");
  ASSERT_EQ(umount2((source_ + "/merged").c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace kata::fsd
