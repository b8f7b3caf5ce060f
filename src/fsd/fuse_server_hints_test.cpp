// SPDX-License-Identifier: Apache-2.0
// FuseServer: what our guest's kernel is told beyond the protocol, so that it need not ask.
#include <linux/capability.h>
#include <sys/xattr.h>

#include "fsd/fuse_server_fixture.h"
#include "fsd/fuse_server_parts.h"

namespace kata::fsd {
namespace {

using FuseServerHints = FuseServerTest;

TEST_F(FuseServerHints, AnOpenTellsTheAttributesIfThereIsRoom) {
  Write("file", "text");
  const uint64_t node = Node("file");
  const Answer full = guest_->Open(node, O_RDONLY);
  ASSERT_EQ(full.body.size(), sizeof(fuse_open_out) + sizeof(fuse_attr_out));
  const auto attributes = full.As<fuse_attr_out>(sizeof(fuse_open_out));
  EXPECT_EQ(attributes.attr.size, 4U);
  EXPECT_EQ(attributes.attr.ino, Status("file").st_ino);
  EXPECT_EQ(attributes.attr_valid, 1U);
  const Answer bare = guest_->Call(FUSE_OPEN, node, Struct(fuse_open_in{O_RDONLY, 0}), sizeof(fuse_open_out));
  EXPECT_EQ(bare.body.size(), sizeof(fuse_open_out));
}

TEST_F(FuseServerHints, WhetherThereAreCapabilitiesIsToldWithTheAttributes) {
  const Answer made = guest_->Create(kRoot, "file", O_RDWR, 0755);
  EXPECT_EQ(made.As<fuse_entry_out>().attr.flags, kAttrNoCapability);
  const uint64_t node = made.As<fuse_entry_out>().nodeid;
  EXPECT_EQ(guest_->Attributes(node).flags, kAttrNoCapability);
  const vfs_cap_data capability = {.magic_etc = VFS_CAP_REVISION_2, .data = {{1U << CAP_NET_RAW, 0}, {0, 0}}};
  ASSERT_TRUE(guest_->SetXattr(node, "security.capability", Struct(capability)).ok());
  EXPECT_EQ(guest_->Attributes(node).flags, 0U);
  EXPECT_EQ(guest_->Open(node, O_RDONLY).As<fuse_attr_out>(sizeof(fuse_open_out)).attr.flags, 0U);
  ASSERT_TRUE(guest_->RemoveXattr(node, "security.capability").ok());
  EXPECT_EQ(guest_->Attributes(node).flags, kAttrNoCapability);
  // Others have none, and are not asked for them.
  EXPECT_EQ(guest_->Attributes(kRoot).flags, 0U);
}

TEST_F(FuseServerHints, AReplyHasAllEntriesForWhichThereIsRoom) {
  for (int i = 0; i < 200; ++i) Write(fmt::format("file-{}", i), "");
  const auto opened = guest_->OpenDirectory(kRoot).As<fuse_open_out>();
  EXPECT_EQ(opened.open_flags & kOpenReadsFull, kOpenReadsFull);
  constexpr uint32_t kRoom = 4096;
  const size_t longest = FUSE_REC_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + strlen("file-199"));
  size_t entries = 0;
  for (uint64_t offset = 0;;) {
    const std::string body = guest_->Read(kRoot, opened.fh, offset, kRoom, FUSE_READDIRPLUS).body;
    for (size_t at = 0; at < body.size(); ++entries) {
      fuse_direntplus entry = {};
      memcpy(&entry, body.data() + at, FUSE_NAME_OFFSET_DIRENTPLUS);
      offset = entry.dirent.off;
      at += FUSE_REC_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + entry.dirent.namelen);
    }
    if (body.size() + longest <= kRoom) break;
  }
  EXPECT_EQ(entries, 202U);
}

}  // namespace
}  // namespace kata::fsd
