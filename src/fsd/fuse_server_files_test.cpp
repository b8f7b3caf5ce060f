// SPDX-License-Identifier: Apache-2.0
// FuseServer: open files and directories, extended attributes, ACLs.
#include <dirent.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include <map>
#include <set>

#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

using FuseServerFiles = FuseServerTest;

TEST_F(FuseServerFiles, ReadsAndWrites) {
  Write("file", "0123456789");
  const uint64_t file = Node("file");
  const uint64_t fh = OpenFh(file, O_RDWR);
  EXPECT_EQ(guest_->Read(file, fh, 0, 4096).body, "0123456789");
  EXPECT_EQ(guest_->Read(file, fh, 3, 4).body, "3456");
  EXPECT_EQ(guest_->Read(file, fh, 100, 4).body, "");
  EXPECT_TRUE(guest_->Read(file, fh, 100, 4).ok());
  EXPECT_EQ(guest_->Read(file, fh, UINT64_MAX, 4).error, EINVAL);
  EXPECT_EQ(guest_->Write(file, fh, 8, "abcd").As<fuse_write_out>().size, 4U);
  EXPECT_EQ(Contents("file"), "01234567abcd");
  EXPECT_EQ(guest_->Write(file, fh, UINT64_MAX, "x").error, EINVAL);
  EXPECT_EQ(guest_->Write(file, fh, 0, "").As<fuse_write_out>().size, 0U);
  EXPECT_EQ(server_->open_files(), 1U);
  EXPECT_TRUE(guest_->Release(file, fh).ok());
  EXPECT_EQ(server_->open_files(), 0U);
  EXPECT_EQ(guest_->Read(file, fh, 0, 4096).error, EBADF);
}

TEST_F(FuseServerFiles, ALargeWriteInManyPieces) {
  std::string data(1U << 20U, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 7 + i / 4096);
  Write("file", "");
  const uint64_t file = Node("file");
  const uint64_t fh = OpenFh(file, O_RDWR);
  EXPECT_EQ(guest_->Write(file, fh, 5, data).As<fuse_write_out>().size, data.size());
  EXPECT_TRUE(guest_->Read(file, fh, 5, 1U << 20U).body == data);
}

TEST_F(FuseServerFiles, AWriteThatLiesAboutItsLength) {
  Write("file", "text");
  const uint64_t file = Node("file");
  fuse_write_in in = {};
  in.fh = OpenFh(file, O_RDWR);
  in.size = 100;
  EXPECT_EQ(guest_->Call(FUSE_WRITE, file, Struct(in) + "short").error, EINVAL);
  EXPECT_EQ(Contents("file"), "text");
}

TEST_F(FuseServerFiles, AppendsEachWriteThatAppends) {
  Write("file", "text");
  const uint64_t file = Node("file");
  const uint64_t fh = OpenFh(file, O_RDWR | O_APPEND);
  // Somebody on the host has appended, too.
  Write("file", "longer text");
  EXPECT_TRUE(guest_->Write(file, fh, 4, "!", O_RDWR | O_APPEND).ok());
  EXPECT_EQ(Contents("file"), "longer text!");
  // A page of a mapping comes back to its place.
  EXPECT_TRUE(guest_->Write(file, fh, 0, "L", O_RDWR | O_APPEND, FUSE_WRITE_CACHE).ok());
  EXPECT_EQ(Contents("file"), "Longer text!");
}

TEST_F(FuseServerFiles, OpensWithTheRightsAskedFor) {
  Write("file", "text", 0);
  const uint64_t file = Node("file");
  guest_->uid = 1000;
  const uint64_t reader = OpenFh(file, O_RDONLY);
  EXPECT_EQ(guest_->Write(file, reader, 0, "x").error, EBADF);
  const uint64_t writer = OpenFh(file, O_WRONLY | O_TRUNC);
  EXPECT_EQ(guest_->Read(file, writer, 0, 4).error, EBADF);
  EXPECT_EQ(Contents("file"), "");
  EXPECT_EQ(guest_->Open(kRoot, O_RDONLY).error, EISDIR);
}

TEST_F(FuseServerFiles, TheCallersRightsDecideWhatAWriteClears) {
  guest_->uid = 1000;
  for (const auto& [before, after] : {std::pair{06777U, 0777U}, std::pair{02766U, 02766U}, std::pair{0644U, 0644U}}) {
    Write("file", "text", before);
    const uint64_t file = Node("file");
    const uint64_t fh = OpenFh(file, O_RDWR);
    EXPECT_TRUE(guest_->Write(file, fh, 0, "x").ok());
    EXPECT_EQ(guest_->Attributes(file).mode, S_IFREG | before);
    EXPECT_TRUE(guest_->Write(file, fh, 0, "x", 0, FUSE_WRITE_KILL_SUIDGID).ok());
    EXPECT_EQ(guest_->Attributes(file).mode, S_IFREG | after);
  }
  Write("file", "text", 06777);
  EXPECT_TRUE(guest_->Open(Node("file"), O_WRONLY | O_TRUNC, FUSE_OPEN_KILL_SUIDGID).ok());
  EXPECT_EQ(Status("file").st_mode, S_IFREG | 0777U);
  // A file's capabilities go with any write.
  Write("file", "text");
  const char capability[20] = {1, 0, 0, 2, 1};
  ASSERT_EQ(setxattr(Path("file").c_str(), "security.capability", capability, sizeof(capability), 0), 0);
  guest_->uid = 0;
  const uint64_t file = Node("file");
  EXPECT_TRUE(guest_->Write(file, OpenFh(file, O_RDWR), 0, "x", 0, FUSE_WRITE_CACHE).ok());
  EXPECT_EQ(guest_->GetXattr(file, "security.capability").body.size(), sizeof(capability));
  EXPECT_TRUE(guest_->Write(file, OpenFh(file, O_RDWR), 0, "x").ok());
  EXPECT_EQ(guest_->GetXattr(file, "security.capability").error, ENODATA);
}

TEST_F(FuseServerFiles, SeekFindsDataAndHoles) {
  Write("file", "");
  ASSERT_EQ(truncate(Path("file").c_str(), 1 << 20), 0);
  const uint64_t file = Node("file");
  const uint64_t fh = OpenFh(file, O_RDWR);
  EXPECT_TRUE(guest_->Write(file, fh, 65536, "data").ok());
  const auto seek = [&](uint64_t offset, uint32_t whence) {
    return guest_->Call(FUSE_LSEEK, file, Struct(fuse_lseek_in{fh, offset, whence, 0}));
  };
  EXPECT_EQ(seek(0, SEEK_DATA).As<fuse_lseek_out>().offset, 65536U);
  EXPECT_EQ(seek(0, SEEK_HOLE).As<fuse_lseek_out>().offset, 0U);
  EXPECT_EQ(seek(1 << 20, SEEK_DATA).error, ENXIO);
  EXPECT_EQ(seek(0, SEEK_END).error, EINVAL);
}

TEST_F(FuseServerFiles, Fallocate) {
  Write("file", std::string(16384, 'x'));
  const uint64_t file = Node("file");
  fuse_fallocate_in in = {};
  in.fh = OpenFh(file, O_RDWR);
  in.length = 32768;
  EXPECT_TRUE(guest_->Call(FUSE_FALLOCATE, file, Struct(in)).ok());
  EXPECT_EQ(guest_->Attributes(file).size, 32768U);
  in.offset = 4096;
  in.length = 4096;
  in.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  EXPECT_TRUE(guest_->Call(FUSE_FALLOCATE, file, Struct(in)).ok());
  EXPECT_EQ(guest_->Read(file, in.fh, 4095, 2).body, std::string("x\0", 2));
  in.mode = FALLOC_FL_COLLAPSE_RANGE;
  EXPECT_TRUE(guest_->Call(FUSE_FALLOCATE, file, Struct(in)).ok());
  EXPECT_EQ(guest_->Attributes(file).size, 28672U);
  in.length = UINT64_MAX;
  EXPECT_EQ(guest_->Call(FUSE_FALLOCATE, file, Struct(in)).error, EFBIG);
}

TEST_F(FuseServerFiles, CopyFileRange) {
  Write("from", "0123456789");
  Write("to", "");
  fuse_copy_file_range_in in = {};
  in.fh_in = OpenFh(Node("from"), O_RDONLY);
  in.off_in = 2;
  in.nodeid_out = Node("to");
  in.fh_out = OpenFh(in.nodeid_out, O_RDWR);
  in.len = 1ULL << 62U;
  EXPECT_EQ(guest_->Call(FUSE_COPY_FILE_RANGE, Node("from"), Struct(in)).As<fuse_write_out>().size, 8U);
  EXPECT_EQ(Contents("to"), "23456789");
  in.fh_out = 99;
  EXPECT_EQ(guest_->Call(FUSE_COPY_FILE_RANGE, Node("from"), Struct(in)).error, EBADF);
}

TEST_F(FuseServerFiles, SyncAndFlush) {
  Write("file", "text");
  const uint64_t file = Node("file");
  const uint64_t fh = OpenFh(file, O_RDWR);
  const fuse_fsync_in sync = {fh, FUSE_FSYNC_FDATASYNC, 0};
  EXPECT_TRUE(guest_->Call(FUSE_FSYNC, file, Struct(sync)).ok());
  EXPECT_TRUE(guest_->Call(FUSE_FLUSH, file, Struct(fuse_flush_in{fh})).ok());
  EXPECT_TRUE(guest_->Call(FUSE_SYNCFS, kRoot, Struct(fuse_syncfs_in{})).ok());
  const uint64_t directory = guest_->OpenDirectory(kRoot).As<fuse_open_out>().fh;
  EXPECT_TRUE(guest_->Call(FUSE_FSYNCDIR, kRoot, Struct(fuse_fsync_in{directory, 0, 0})).ok());
  EXPECT_EQ(guest_->Call(FUSE_FSYNC, file, Struct(fuse_fsync_in{99, 0, 0})).error, EBADF);
}

TEST_F(FuseServerFiles, FlagsOfFiles) {
  Write("file", "text");
  const uint64_t file = Node("file");
  fuse_ioctl_in in = {};
  in.fh = OpenFh(file, O_RDONLY);
  in.cmd = FS_IOC_SETFLAGS;
  in.in_size = sizeof(uint32_t);
  EXPECT_TRUE(guest_->Call(FUSE_IOCTL, file, Struct(in) + Struct(static_cast<uint32_t>(FS_NODUMP_FL))).ok());
  in.cmd = FS_IOC_GETFLAGS;
  in.in_size = 0;
  in.out_size = sizeof(uint32_t);
  const Answer answer = guest_->Call(FUSE_IOCTL, file, Struct(in));
  EXPECT_NE(answer.As<uint32_t>(sizeof(fuse_ioctl_out)) & FS_NODUMP_FL, 0U);
  EXPECT_EQ(answer.body.size(), sizeof(fuse_ioctl_out) + sizeof(uint32_t));
  // What is made in a directory that inherits no more would leave its project's quota.
  const uint32_t flags = answer.As<uint32_t>(sizeof(fuse_ioctl_out)) ^ static_cast<uint32_t>(FS_PROJINHERIT_FL);
  in.cmd = FS_IOC_SETFLAGS;
  EXPECT_EQ(guest_->Call(FUSE_IOCTL, file, Struct(in) + Struct(flags)).error, EPERM);
  in.cmd = FS_IOC_FSGETXATTR;
  auto extended = guest_->Call(FUSE_IOCTL, file, Struct(in)).As<fsxattr>(sizeof(fuse_ioctl_out));
  in.cmd = FS_IOC_FSSETXATTR;
  extended.fsx_xflags &= ~static_cast<uint32_t>(FS_XFLAG_NODUMP);
  EXPECT_TRUE(guest_->Call(FUSE_IOCTL, file, Struct(in) + Struct(extended)).ok());
  // Another project would be another quota.
  extended.fsx_projid ^= 1U;
  EXPECT_EQ(guest_->Call(FUSE_IOCTL, file, Struct(in) + Struct(extended)).error, EPERM);
  extended.fsx_projid ^= 1U;
  extended.fsx_xflags ^= static_cast<uint32_t>(FS_XFLAG_PROJINHERIT);
  EXPECT_EQ(guest_->Call(FUSE_IOCTL, file, Struct(in) + Struct(extended)).error, EPERM);
  in.cmd = FIONREAD;
  EXPECT_EQ(guest_->Call(FUSE_IOCTL, file, Struct(in)).error, ENOTTY);
  in.fh = guest_->OpenDirectory(kRoot).As<fuse_open_out>().fh;
  in.flags = FUSE_IOCTL_DIR;
  in.cmd = FS_IOC_GETFLAGS;
  EXPECT_TRUE(guest_->Call(FUSE_IOCTL, kRoot, Struct(in)).ok());
}

// The names that a reply lists, with the offsets behind them.
std::vector<std::pair<std::string, uint64_t>> Entries(const std::string& body, bool plus) {
  std::vector<std::pair<std::string, uint64_t>> names;
  for (size_t at = 0; at < body.size();) {
    const size_t head = at + (plus ? sizeof(fuse_entry_out) : 0);
    fuse_dirent dirent;
    memcpy(&dirent, body.data() + head, sizeof(dirent));
    names.emplace_back(body.substr(head + FUSE_NAME_OFFSET, dirent.namelen), dirent.off);
    at = head + FUSE_REC_ALIGN(FUSE_NAME_OFFSET + dirent.namelen);
    EXPECT_LE(at, body.size());
  }
  return names;
}

TEST_F(FuseServerFiles, ListsADirectory) {
  std::set<std::string> wanted = {".", ".."};
  for (int i = 0; i < 300; ++i) {
    const std::string name = fmt::format("{}{}", std::string(static_cast<size_t>(i % 40), 'n'), i);
    Write(name, "");
    wanted.insert(name);
  }
  for (const bool plus : {false, true}) {
    const uint64_t fh = guest_->OpenDirectory(kRoot).As<fuse_open_out>().fh;
    const uint32_t opcode = plus ? FUSE_READDIRPLUS : FUSE_READDIR;
    std::map<std::string, uint64_t> found;
    uint64_t offset = 0;
    for (;;) {
      const Answer answer = guest_->Read(kRoot, fh, offset, 1000, opcode);
      ASSERT_TRUE(answer.ok());
      EXPECT_LE(answer.body.size(), 1000U);
      if (answer.body.empty()) break;
      for (const auto& [name, next] : Entries(answer.body, plus)) {
        EXPECT_TRUE(found.emplace(name, next).second) << name;
        offset = next;
      }
    }
    std::set<std::string> names;
    for (const auto& [name, next] : found) names.insert(name);
    EXPECT_EQ(names, wanted);
    // From an offset of before, as after seekdir(3), and from the beginning.
    const auto& [name, next] = *found.find("nnnnn5");
    const auto again = Entries(guest_->Read(kRoot, fh, next, 1000, opcode).body, plus);
    ASSERT_FALSE(again.empty());
    EXPECT_NE(again.front().first, name);
    Write("new", "");
    wanted.insert("new");
    found.clear();
    for (offset = 0;;) {
      const auto entries = Entries(guest_->Read(kRoot, fh, offset, 4096, opcode).body, plus);
      if (entries.empty()) break;
      for (const auto& [each, behind] : entries) found.emplace(each, behind);
      offset = entries.back().second;
    }
    EXPECT_TRUE(found.contains("new"));
    EXPECT_EQ(found.size(), wanted.size());
    EXPECT_TRUE(guest_->Call(FUSE_RELEASEDIR, kRoot, Struct(fuse_release_in{fh})).ok());
  }
  EXPECT_EQ(server_->open_files(), 0U);
}

TEST_F(FuseServerFiles, ReadDirPlusCountsWhatItGives) {
  Write("file", "text");
  const uint64_t fh = guest_->OpenDirectory(kRoot).As<fuse_open_out>().fh;
  const Answer answer = guest_->Read(kRoot, fh, 0, 4096, FUSE_READDIRPLUS);
  uint64_t node = 0;
  for (size_t at = 0; at < answer.body.size();) {
    const auto entry = answer.As<fuse_entry_out>(at);
    const auto dirent = answer.As<fuse_dirent>(at + sizeof(entry));
    const std::string name = answer.body.substr(at + FUSE_NAME_OFFSET_DIRENTPLUS, dirent.namelen);
    if (name == "file") {
      node = entry.nodeid;
      EXPECT_EQ(entry.attr.size, 4U);
      EXPECT_EQ(dirent.type, DT_REG);
    } else {
      EXPECT_EQ(entry.nodeid, 0U);
    }
    at += FUSE_REC_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + dirent.namelen);
  }
  EXPECT_EQ(server_->inodes(), 2U);
  guest_->Forget(node, 1);
  EXPECT_EQ(server_->inodes(), 1U);
}

TEST_F(FuseServerFiles, ExtendedAttributes) {
  Write("file", "text");
  const uint64_t file = Node("file");
  EXPECT_TRUE(guest_->SetXattr(file, "user.x", "value").ok());
  EXPECT_EQ(guest_->GetXattr(file, "user.x").body, "value");
  EXPECT_EQ(guest_->GetXattr(file, "user.x", 0).As<fuse_getxattr_out>().size, 5U);
  EXPECT_EQ(guest_->GetXattr(file, "user.x", 4).error, ERANGE);
  EXPECT_EQ(guest_->SetXattr(file, "user.x", "", XATTR_CREATE).error, EEXIST);
  EXPECT_EQ(guest_->SetXattr(file, "user.y", "", XATTR_REPLACE).error, ENODATA);
  EXPECT_EQ(guest_->SetXattr(file, "user.y", "", 7).error, EINVAL);
  EXPECT_EQ(guest_->SetXattr(file, "user.", "").error, EINVAL);
  EXPECT_EQ(guest_->GetXattr(file, "trusted.").error, EINVAL);
  EXPECT_TRUE(guest_->SetXattr(file, "trusted.overlay.opaque", "y").ok());
  EXPECT_EQ(guest_->GetXattr(file, "trusted.overlay.opaque").body, "y");
  char value[8];
  EXPECT_EQ(getxattr(Path("file").c_str(), "trusted.overlay.opaque", value, sizeof(value)), -1);
  EXPECT_EQ(getxattr(Path("file").c_str(), "user.kata.trusted.overlay.opaque", value, sizeof(value)), 1);
  // Nobody gets at it, or at the host's own, by the names of the host.
  EXPECT_EQ(guest_->GetXattr(file, "user.kata.trusted.overlay.opaque").error, ENODATA);
  ASSERT_EQ(setxattr(Path("file").c_str(), "trusted.host", "h", 1, 0), 0);
  EXPECT_EQ(guest_->GetXattr(file, "trusted.host").error, ENODATA);
  EXPECT_EQ(guest_->ListXattrs(file).body, std::string("user.x\0trusted.overlay.opaque\0", 30));
  EXPECT_EQ(guest_->ListXattrs(file, 0).As<fuse_getxattr_out>().size, 30U);
  EXPECT_EQ(guest_->ListXattrs(file, 29).error, ERANGE);
  EXPECT_EQ(guest_->SetXattr(file, "security.selinux", "x").error, EOPNOTSUPP);
  EXPECT_EQ(guest_->GetXattr(file, "security.selinux").error, EOPNOTSUPP);
  EXPECT_EQ(guest_->RemoveXattr(file, "security.selinux").error, EOPNOTSUPP);
  EXPECT_TRUE(guest_->RemoveXattr(file, "user.x").ok());
  EXPECT_EQ(guest_->GetXattr(file, "user.x").error, ENODATA);
  ASSERT_EQ(symlink("nowhere", Path("link").c_str()), 0);
  EXPECT_EQ(guest_->SetXattr(Node("link"), "user.x", "x").error, EPERM);
  EXPECT_TRUE(guest_->SetXattr(Node("link"), "trusted.overlay.origin", "x").ok());
  EXPECT_EQ(guest_->ListXattrs(Node("link")).body, "");
  // A value that is not all there.
  const fuse_setxattr_in lie = {100, 0, 0, 0};
  EXPECT_EQ(guest_->Call(FUSE_SETXATTR, file, Struct(lie) + Name("user.z") + "short").error, EINVAL);
  // Before 7.33 the structure was shorter.
  guest_->Init(0);
  EXPECT_TRUE(guest_
                  ->Call(FUSE_SETXATTR, Node("file"),
                         Struct(lie).substr(0, 0) + Struct(fuse_getxattr_in{1, 0}) + Name("user.z") + "z")
                  .ok());
}

// An ACL as the kernel keeps it: version, then tag, permissions and id of each entry.
std::string Acl(std::initializer_list<std::array<uint32_t, 3>> entries) {
  std::string acl = Struct(uint32_t{2});
  for (const auto& [tag, permissions, id] : entries) {
    acl += Struct(static_cast<uint16_t>(tag)) + Struct(static_cast<uint16_t>(permissions)) + Struct(id);
  }
  return acl;
}

TEST_F(FuseServerFiles, AccessControlLists) {
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  const uint64_t dir = Node("dir");
  EXPECT_EQ(guest_->GetXattr(dir, "system.posix_acl_access").error, ENODATA);
  const std::string acl = Acl({{1, 7, ~0U}, {2, 7, 1000}, {4, 5, ~0U}, {16, 7, ~0U}, {32, 5, ~0U}});
  EXPECT_TRUE(guest_->SetXattr(dir, "system.posix_acl_access", acl).ok());
  EXPECT_EQ(guest_->GetXattr(dir, "system.posix_acl_access").body, acl);
  EXPECT_EQ(guest_->Attributes(dir).mode, S_IFDIR | 0775U);
  EXPECT_TRUE(guest_->SetXattr(dir, "system.posix_acl_default", acl).ok());
  // The default ACL says what a new file may be, not the umask.
  guest_->umask = 077;
  ASSERT_TRUE(guest_->Create(dir, "file", O_WRONLY, 0666).ok());
  EXPECT_EQ(Status("dir/file").st_mode, S_IFREG | 0664U);
  ASSERT_TRUE(guest_->Create(kRoot, "file", O_WRONLY, 0666).ok());
  EXPECT_EQ(Status("file").st_mode, S_IFREG | 0600U);
  // Who is not of the group loses the bit.
  Write("shared", "", 02775);
  ASSERT_EQ(chown(Path("shared").c_str(), 1000, 2000), 0);
  ASSERT_EQ(chmod(Path("shared").c_str(), 02775), 0);
  const uint64_t shared = Node("shared");
  guest_->uid = 1000;
  guest_->gid = 1000;
  EXPECT_TRUE(guest_->SetXattr(shared, "system.posix_acl_access", acl).ok());
  EXPECT_EQ(guest_->Attributes(shared).mode, S_IFREG | 02775U);
  EXPECT_TRUE(guest_->SetXattr(shared, "system.posix_acl_access", acl, 0, FUSE_SETXATTR_ACL_KILL_SGID).ok());
  EXPECT_EQ(guest_->Attributes(shared).mode, S_IFREG | 0775U);
}

}  // namespace
}  // namespace kata::fsd
