// SPDX-License-Identifier: Apache-2.0
// FuseServer: the beginning, names, attributes.
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <thread>

#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

TEST_F(FuseServerTest, InitAgreesOnWhatBothCan) {
  EXPECT_EQ(guest_->agreed.major, 7U);
  EXPECT_EQ(guest_->agreed.minor, 38U);
  EXPECT_EQ(guest_->agreed.max_write, 1U << 20U);
  EXPECT_EQ(guest_->agreed.max_pages, 256U);
  const uint64_t flags = guest_->agreed.flags | static_cast<uint64_t>(guest_->agreed.flags2) << 32U;
  EXPECT_EQ(flags & (FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SUBMOUNTS | FUSE_MAX_PAGES),
            FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SUBMOUNTS | FUSE_MAX_PAGES);
  // Locks are the guest's own.
  EXPECT_EQ(flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_WRITEBACK_CACHE | FUSE_EXPORT_SUPPORT), 0U);
  guest_->Init(FUSE_ASYNC_READ);
  EXPECT_EQ(guest_->agreed.flags, static_cast<uint32_t>(FUSE_ASYNC_READ));
}

TEST_F(FuseServerTest, InitOfOtherVersions) {
  fuse_init_in in = {};
  in.major = 8;
  EXPECT_EQ(guest_->Call(FUSE_INIT, 0, Struct(in)).As<fuse_init_out>().major, 7U);
  in.major = 6;
  EXPECT_EQ(guest_->Call(FUSE_INIT, 0, Struct(in)).error, EPROTO);
  in.major = 7;
  in.minor = 30;
  EXPECT_EQ(guest_->Call(FUSE_INIT, 0, Struct(in)).error, EPROTO);
  // The structure of before 7.36.
  in.minor = 35;
  EXPECT_EQ(guest_->Call(FUSE_INIT, 0, Struct(in).substr(0, 16)).As<fuse_init_out>().minor, 35U);
}

TEST_F(FuseServerTest, NothingBeforeInit) {
  auto server = FuseServer::Create(UniqueFd(open(path_.c_str(), O_PATH | O_CLOEXEC)), {});
  ASSERT_TRUE(server);
  FuseGuest guest(**server);
  EXPECT_EQ(guest.Lookup(kRoot, "x").error, EIO);
  EXPECT_EQ(guest.Call(9999, kRoot, "").error, EIO);
  EXPECT_TRUE(guest.Init().ok());
  EXPECT_EQ(guest.Lookup(kRoot, "x").error, ENOENT);
  EXPECT_EQ(guest.Call(9999, kRoot, "").error, ENOSYS);
  EXPECT_TRUE(guest.Call(FUSE_DESTROY, 0, "").ok());
  EXPECT_EQ(guest.Lookup(kRoot, "x").error, EIO);
}

TEST_F(FuseServerTest, LookupFindsAndForgetForgets) {
  Write("file", "text");
  const auto entry = guest_->Lookup(kRoot, "file").As<fuse_entry_out>();
  EXPECT_GT(entry.nodeid, kRoot);
  EXPECT_EQ(entry.attr.size, 4U);
  EXPECT_EQ(entry.attr.mode, static_cast<uint32_t>(S_IFREG | 0644));
  EXPECT_EQ(entry.attr.ino, Status("file").st_ino);
  EXPECT_EQ(entry.entry_valid, 1U);
  EXPECT_EQ(entry.attr.flags, 0U);
  EXPECT_EQ(guest_->Lookup(kRoot, "file").As<fuse_entry_out>().nodeid, entry.nodeid);
  EXPECT_EQ(server_->inodes(), 2U);
  guest_->Forget(entry.nodeid, 1);
  EXPECT_EQ(guest_->Attributes(entry.nodeid).size, 4U);
  guest_->Forget(entry.nodeid, 1);
  EXPECT_EQ(server_->inodes(), 1U);
  EXPECT_EQ(guest_->Call(FUSE_GETATTR, entry.nodeid, Struct(fuse_getattr_in{})).error, ESTALE);
  // A number is never used again, and the root stays whatever is forgotten.
  EXPECT_NE(guest_->Lookup(kRoot, "file").As<fuse_entry_out>().nodeid, entry.nodeid);
  guest_->Forget(kRoot, 1000);
  EXPECT_TRUE(S_ISDIR(guest_->Attributes(kRoot).mode));
}

TEST_F(FuseServerTest, BatchForget) {
  Write("a", "");
  Write("b", "");
  const uint64_t a = Node("a");
  const uint64_t b = Node("b");
  // The count is not true: what is there counts.
  guest_->Call(FUSE_BATCH_FORGET, 0,
               Struct(fuse_batch_forget_in{1000, 0}) + Struct(fuse_forget_one{a, 1}) + Struct(fuse_forget_one{b, 9}),
               0);
  EXPECT_EQ(server_->inodes(), 1U);
}

TEST_F(FuseServerTest, NamesThatLeadElsewhereAreRefused) {
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  Write("dir/file", "");
  ASSERT_EQ(symlink("/etc", Path("link").c_str()), 0);
  const uint64_t dir = Node("dir");
  for (const char* name : {".", "..", "", "a/b", "/", "dir/file", "../x"}) {
    EXPECT_EQ(guest_->Lookup(kRoot, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->MakeDirectory(kRoot, name, 0755).error, EINVAL) << name;
    EXPECT_EQ(guest_->MakeNode(kRoot, name, S_IFREG | 0644).error, EINVAL) << name;
    EXPECT_EQ(guest_->Symlink(kRoot, name, "x").error, EINVAL) << name;
    EXPECT_EQ(guest_->Create(kRoot, name, O_RDWR, 0644).error, EINVAL) << name;
    EXPECT_EQ(guest_->Unlink(kRoot, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->RemoveDirectory(kRoot, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->Rename(kRoot, name, dir, "x").error, EINVAL) << name;
    EXPECT_EQ(guest_->Rename(kRoot, "link", dir, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->Link(dir, kRoot, name).error, EINVAL) << name;
  }
  // A name without its end.
  EXPECT_EQ(guest_->Call(FUSE_LOOKUP, kRoot, "dir").error, EINVAL);
  EXPECT_EQ(guest_->Lookup(kRoot, std::string(300, 'x')).error, ENAMETOOLONG);
  // A symbolic link is a file of its own.
  const uint64_t link = Node("link");
  EXPECT_EQ(guest_->Lookup(link, "passwd").error, ENOTDIR);
  EXPECT_EQ(guest_->OpenDirectory(link).error, ENOTDIR);
  EXPECT_EQ(guest_->Open(link, O_RDONLY).error, ENXIO);
  EXPECT_EQ(guest_->Call(FUSE_READLINK, link, "").body, "/etc");
  EXPECT_EQ(guest_->Call(FUSE_READLINK, dir, "").error, EINVAL);
}

TEST_F(FuseServerTest, UnknownNodes) {
  EXPECT_EQ(guest_->Lookup(77, "x").error, ESTALE);
  EXPECT_EQ(guest_->Lookup(0, "x").error, ESTALE);
  EXPECT_EQ(guest_->Open(77, O_RDONLY).error, ESTALE);
  EXPECT_EQ(guest_->Rename(kRoot, "a", 77, "b").error, ESTALE);
  EXPECT_EQ(guest_->Read(kRoot, 77, 0, 10).error, EBADF);
  EXPECT_EQ(guest_->Release(kRoot, 77).error, EBADF);
}

TEST_F(FuseServerTest, MakesNodesOfTheCaller) {
  guest_->uid = 1000;
  guest_->gid = 2000;
  guest_->umask = 027;
  ASSERT_TRUE(guest_->MakeDirectory(kRoot, "dir", 0777).ok());
  ASSERT_TRUE(guest_->MakeNode(kRoot, "fifo", S_IFIFO | 0666).ok());
  ASSERT_TRUE(guest_->MakeNode(kRoot, "socket", S_IFSOCK | 0777).ok());
  ASSERT_TRUE(guest_->MakeNode(kRoot, "file", S_IFREG | 04755).ok());
  ASSERT_TRUE(guest_->Symlink(kRoot, "link", "nowhere").ok());
  ASSERT_TRUE(guest_->Create(kRoot, "created", O_RDWR, 0666).ok());
  for (const auto& [name, mode] : {std::pair{"dir", S_IFDIR | 0750U}, std::pair{"fifo", S_IFIFO | 0640U},
                                   std::pair{"socket", S_IFSOCK | 0750U}, std::pair{"file", S_IFREG | 04750U},
                                   std::pair{"link", S_IFLNK | 0777U}, std::pair{"created", S_IFREG | 0640U}}) {
    const struct stat status = Status(name);
    EXPECT_EQ(status.st_uid, 1000U) << name;
    EXPECT_EQ(status.st_gid, 2000U) << name;
    EXPECT_EQ(status.st_mode, mode) << name;
  }
  guest_->uid = 0;
  guest_->gid = 0;
  // major 0x123, minor 0x45678
  const auto entry = guest_->MakeNode(kRoot, "device", S_IFCHR | 0600, 0x45612378).As<fuse_entry_out>();
  EXPECT_EQ(entry.attr.rdev, 0x45612378U);
  EXPECT_EQ(major(Status("device").st_rdev), 0x123U);
  EXPECT_EQ(minor(Status("device").st_rdev), 0x45678U);
  EXPECT_EQ(Status("device").st_uid, 0U);
  EXPECT_EQ(guest_->MakeDirectory(kRoot, "dir", 0777).error, EEXIST);
}

TEST_F(FuseServerTest, TheGroupOfADirectoryIsInherited) {
  guest_->umask = 0;
  ASSERT_EQ(mkdir(Path("team").c_str(), 0), 0);
  ASSERT_EQ(chown(Path("team").c_str(), 0, 2000), 0);
  ASSERT_EQ(chmod(Path("team").c_str(), 02770), 0);
  const uint64_t team = Node("team");
  guest_->uid = 1000;
  guest_->gid = 1000;
  ASSERT_TRUE(guest_->Create(team, "file", O_WRONLY, 0660).ok());
  ASSERT_TRUE(guest_->MakeDirectory(team, "dir", 0770).ok());
  ASSERT_TRUE(guest_->MakeNode(team, "socket", S_IFSOCK | 0777).ok());
  ASSERT_TRUE(guest_->Symlink(team, "link", "x").ok());
  for (const char* name : {"team/file", "team/dir", "team/socket", "team/link"}) {
    EXPECT_EQ(Status(name).st_uid, 1000U) << name;
    EXPECT_EQ(Status(name).st_gid, 2000U) << name;
  }
  EXPECT_EQ(Status("team/dir").st_mode, S_IFDIR | 02770U);
  EXPECT_EQ(Status("team/file").st_mode, S_IFREG | 0660U);
}

TEST_F(FuseServerTest, AnIdThatNobodyCanHave) {
  guest_->uid = UINT32_MAX;
  EXPECT_EQ(guest_->MakeDirectory(kRoot, "dir", 0777).error, EOVERFLOW);
  guest_->uid = 0;
  guest_->gid = UINT32_MAX;
  EXPECT_EQ(guest_->MakeDirectory(kRoot, "dir", 0777).error, EOVERFLOW);
  guest_->gid = 0;
  EXPECT_TRUE(guest_->MakeDirectory(kRoot, "dir", 0777).ok());
  EXPECT_EQ(Status("dir").st_uid, 0U);
}

TEST_F(FuseServerTest, EachThreadHasItsOwnCaller) {
  constexpr int kThreads = 4;
  constexpr int kFiles = 50;
  std::vector<std::thread> threads;
  for (uint32_t id = 1; id <= kThreads; ++id) {
    threads.emplace_back([this, id] {
      FuseGuest guest(*server_);
      guest.uid = 1000 + id;
      guest.gid = 2000 + id;
      guest.umask = id;
      for (int i = 0; i < kFiles; ++i) {
        EXPECT_TRUE(guest.Create(kRoot, fmt::format("{}-{}", id, i), O_RDWR, 0777).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t id = 1; id <= kThreads; ++id) {
    for (int i = 0; i < kFiles; ++i) {
      const struct stat status = Status(fmt::format("{}-{}", id, i));
      EXPECT_EQ(status.st_uid, 1000 + id);
      EXPECT_EQ(status.st_gid, 2000 + id);
      EXPECT_EQ(status.st_mode, S_IFREG | (0777 & ~id));
    }
  }
}

TEST_F(FuseServerTest, LinksAndNamesThatGo) {
  Write("file", "text");
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  const uint64_t file = Node("file");
  const uint64_t dir = Node("dir");
  const auto link = guest_->Link(file, dir, "second").As<fuse_entry_out>();
  EXPECT_EQ(link.nodeid, file);
  EXPECT_EQ(link.attr.nlink, 2U);
  EXPECT_EQ(guest_->RemoveDirectory(kRoot, "dir").error, ENOTEMPTY);
  EXPECT_EQ(guest_->Unlink(kRoot, "dir").error, EISDIR);
  EXPECT_EQ(guest_->RemoveDirectory(kRoot, "file").error, ENOTDIR);
  EXPECT_TRUE(guest_->Unlink(dir, "second").ok());
  EXPECT_TRUE(guest_->RemoveDirectory(kRoot, "dir").ok());
  EXPECT_TRUE(guest_->Unlink(kRoot, "file").ok());
  EXPECT_EQ(guest_->Lookup(kRoot, "file").error, ENOENT);
  // The guest has it still.
  EXPECT_EQ(guest_->Attributes(file).nlink, 0U);
  EXPECT_EQ(guest_->Attributes(file).size, 4U);
  EXPECT_EQ(guest_->Link(file, kRoot, "again").error, ENOENT);
  // A link of a symbolic link is one of the link.
  ASSERT_TRUE(guest_->Symlink(kRoot, "link", "nowhere").ok());
  ASSERT_TRUE(guest_->Link(Node("link"), kRoot, "link2").ok());
  EXPECT_TRUE(S_ISLNK(Status("link2").st_mode));
}

TEST_F(FuseServerTest, Renames) {
  Write("a", "a");
  Write("b", "b");
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  const uint64_t a = Node("a");
  const uint64_t dir = Node("dir");
  EXPECT_EQ(guest_->Rename(kRoot, "a", kRoot, "b", 1 /*RENAME_NOREPLACE*/).error, EEXIST);
  EXPECT_TRUE(guest_->Rename(kRoot, "a", kRoot, "b", 2 /*RENAME_EXCHANGE*/).ok());
  EXPECT_EQ(Contents("a"), "b");
  EXPECT_EQ(Node("b"), a);
  EXPECT_TRUE(guest_->Rename(kRoot, "b", dir, "c").ok());
  EXPECT_EQ(Node("dir/c"), a);
  EXPECT_TRUE(guest_->Rename(kRoot, "a", dir, "c", 4 /*RENAME_WHITEOUT*/).ok());
  EXPECT_EQ(Contents("dir/c"), "b");
  EXPECT_EQ(Status("a").st_mode & S_IFMT, static_cast<unsigned>(S_IFCHR));
  EXPECT_EQ(guest_->Rename(kRoot, "dir", dir, "x").error, EINVAL);
  EXPECT_EQ(guest_->Rename(kRoot, "a", dir, "x", 8).error, EINVAL);
}

TEST_F(FuseServerTest, CreateOpensOnlyWhatItMakes) {
  const Answer answer = guest_->Create(kRoot, "file", O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE(answer.ok());
  const auto entry = answer.As<fuse_entry_out>();
  const auto open = answer.As<fuse_open_out>(sizeof(entry));
  EXPECT_EQ(entry.nodeid, Node("file"));
  EXPECT_TRUE(guest_->Write(entry.nodeid, open.fh, 0, "text").ok());
  EXPECT_EQ(Contents("file"), "text");
  EXPECT_EQ(guest_->Create(kRoot, "file", O_RDWR | O_CREAT | O_EXCL, 0600).error, EEXIST);
  // The guest looks again, and checks whether its caller may.
  EXPECT_EQ(guest_->Create(kRoot, "file", O_RDWR | O_CREAT, 0600).error, ESTALE);
  ASSERT_EQ(symlink("/etc/passwd", Path("link").c_str()), 0);
  EXPECT_EQ(guest_->Create(kRoot, "link", O_RDWR | O_CREAT, 0600).error, ESTALE);
}

TEST_F(FuseServerTest, TemporaryFilesGetANameLater) {
  guest_->uid = 1000;
  guest_->gid = 1000;
  const Answer answer = guest_->Create(kRoot, "#1", O_RDWR | O_TMPFILE, 0666, FUSE_TMPFILE);
  ASSERT_TRUE(answer.ok());
  const auto entry = answer.As<fuse_entry_out>();
  EXPECT_EQ(entry.attr.nlink, 0U);
  EXPECT_EQ(entry.attr.uid, 1000U);
  EXPECT_EQ(entry.attr.mode, S_IFREG | 0644U);
  EXPECT_TRUE(guest_->Write(entry.nodeid, answer.As<fuse_open_out>(sizeof(entry)).fh, 0, "text").ok());
  EXPECT_EQ(guest_->Link(entry.nodeid, kRoot, "named").As<fuse_entry_out>().nodeid, entry.nodeid);
  EXPECT_EQ(Contents("named"), "text");
}

TEST_F(FuseServerTest, SetsAttributes) {
  Write("file", "text");
  const uint64_t file = Node("file");
  fuse_setattr_in in = {};
  EXPECT_TRUE(guest_->SetAttributes(file, in).ok());
  in.valid = FATTR_MODE;
  in.mode = S_IFREG | 04751;
  EXPECT_EQ(guest_->SetAttributes(file, in).As<fuse_attr_out>().attr.mode, S_IFREG | 04751U);
  in.valid = FATTR_UID | FATTR_KILL_SUIDGID;
  in.uid = 1000;
  EXPECT_EQ(guest_->SetAttributes(file, in).As<fuse_attr_out>().attr.mode, S_IFREG | 0751U);
  in.valid = FATTR_GID;
  in.gid = 2000;
  EXPECT_TRUE(guest_->SetAttributes(file, in).ok());
  EXPECT_EQ(Status("file").st_uid, 1000U);
  EXPECT_EQ(Status("file").st_gid, 2000U);
  in.valid = FATTR_SIZE;
  in.size = 2;
  EXPECT_EQ(guest_->SetAttributes(file, in).As<fuse_attr_out>().attr.size, 2U);
  in.size = 10ULL << 40U;
  EXPECT_EQ(guest_->SetAttributes(file, in).As<fuse_attr_out>().attr.size, 10ULL << 40U);
  in.size = UINT64_MAX;
  EXPECT_EQ(guest_->SetAttributes(file, in).error, EFBIG);
  in.valid = FATTR_ATIME | FATTR_MTIME;
  in.atime = 1;
  in.atimensec = 2;
  in.mtime = static_cast<uint64_t>(-3);
  in.mtimensec = 999999999;
  EXPECT_EQ(guest_->SetAttributes(file, in).As<fuse_attr_out>().attr.mtime, static_cast<uint64_t>(-3));
  EXPECT_EQ(Status("file").st_atim.tv_nsec, 2);
  in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
  const auto now = guest_->SetAttributes(file, in).As<fuse_attr_out>();
  EXPECT_GT(now.attr.mtime, 1600000000U);
  EXPECT_EQ(now.attr.atime, 1U);
  in.valid = FATTR_MTIME;
  in.mtimensec = 1000000000;
  EXPECT_EQ(guest_->SetAttributes(file, in).error, EINVAL);
}

TEST_F(FuseServerTest, AttributesOfOtherTypes) {
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  ASSERT_EQ(symlink("nowhere", Path("link").c_str()), 0);
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0644), 0);
  fuse_setattr_in in = {};
  in.valid = FATTR_UID | FATTR_MTIME;
  in.uid = 7;
  in.mtime = 77;
  for (const char* name : {"dir", "link", "fifo"}) {
    EXPECT_TRUE(guest_->SetAttributes(Node(name), in).ok()) << name;
    EXPECT_EQ(Status(name).st_uid, 7U) << name;
    EXPECT_EQ(Status(name).st_mtime, 77) << name;
  }
  in.valid = FATTR_MODE;
  in.mode = 0600;
  EXPECT_TRUE(guest_->SetAttributes(Node("fifo"), in).ok());
  EXPECT_EQ(guest_->SetAttributes(Node("link"), in).error, EOPNOTSUPP);
  in.valid = FATTR_SIZE;
  for (const char* name : {"dir", "link", "fifo"}) EXPECT_EQ(guest_->SetAttributes(Node(name), in).error, EINVAL);
  // A FIFO is never opened: nobody would write to it.
  EXPECT_EQ(guest_->Open(Node("fifo"), O_RDONLY).error, ENXIO);
  EXPECT_EQ(guest_->OpenDirectory(Node("fifo")).error, ENOTDIR);
}

TEST_F(FuseServerTest, TheCallersRightsDecideWhatATruncationClears) {
  Write("file", "text", 06777);
  const uint64_t file = Node("file");
  fuse_setattr_in in = {};
  in.valid = FATTR_SIZE;
  in.size = 3;
  guest_->uid = 1000;
  EXPECT_EQ(guest_->SetAttributes(file, in).As<fuse_attr_out>().attr.mode, S_IFREG | 06777U);
  in.valid = FATTR_SIZE | FATTR_KILL_SUIDGID;
  in.size = 2;
  EXPECT_EQ(guest_->SetAttributes(file, in).As<fuse_attr_out>().attr.mode, S_IFREG | 0777U);
}

TEST_F(FuseServerTest, StatFs) {
  const auto status = guest_->Call(FUSE_STATFS, kRoot, "").As<fuse_statfs_out>();
  EXPECT_GT(status.st.blocks, 0U);
  EXPECT_EQ(status.st.namelen, 255U);
}

TEST_F(FuseServerTest, AtMostSoManyInodes) {
  FuseServer::Options options;
  options.max_inodes = 3;
  Serve(std::move(options));
  for (const char* name : {"a", "b", "c"}) Write(name, "");
  const uint64_t a = Node("a");
  EXPECT_NE(Node("b"), 0U);
  EXPECT_EQ(guest_->Lookup(kRoot, "c").error, ENFILE);
  EXPECT_TRUE(guest_->Lookup(kRoot, "b").ok());
  guest_->Forget(a, 1);
  EXPECT_TRUE(guest_->Lookup(kRoot, "c").ok());
  // The more memory the guest has, the more it may know.
  EXPECT_EQ(guest_->Lookup(kRoot, "a").error, ENFILE);
  server_->SetGuestMemory(3U * 32U << 10U);
  EXPECT_EQ(guest_->Lookup(kRoot, "a").error, ENFILE);
  server_->SetGuestMemory(4U * 32U << 10U);
  EXPECT_TRUE(guest_->Lookup(kRoot, "a").ok());
}

TEST_F(FuseServerTest, CacheModes) {
  Write("file", "text");
  FuseServer::Options options;
  options.cache = Cache::kNever;
  Serve(std::move(options));
  EXPECT_EQ(guest_->Lookup(kRoot, "file").As<fuse_entry_out>().attr_valid, 0U);
  EXPECT_NE(guest_->Open(Node("file"), O_RDONLY).As<fuse_open_out>().open_flags & FOPEN_DIRECT_IO, 0U);
  // FUSE_DIRECT_IO_ALLOW_MMAP: what is not cached can be mapped nevertheless.
  constexpr uint32_t kAllowMmap = 1U << 4U;
  EXPECT_NE(guest_->agreed.flags2 & kAllowMmap, 0U);
  FuseServer::Options at_once;
  at_once.timeout = 0;
  Serve(std::move(at_once));
  EXPECT_EQ(guest_->Lookup(kRoot, "file").As<fuse_entry_out>().entry_valid, 0U);
  EXPECT_EQ(guest_->Open(Node("file"), O_RDONLY).As<fuse_open_out>().open_flags & FOPEN_DIRECT_IO, 0U);
  FuseServer::Options always;
  always.cache = Cache::kAlways;
  Serve(std::move(always));
  EXPECT_EQ(guest_->agreed.flags2 & kAllowMmap, 0U);
  EXPECT_EQ(guest_->Lookup(kRoot, "file").As<fuse_entry_out>().attr_valid, 86400U);
  EXPECT_NE(guest_->Open(Node("file"), O_RDONLY).As<fuse_open_out>().open_flags & FOPEN_KEEP_CACHE, 0U);
}

}  // namespace
}  // namespace kata::fsd
