// SPDX-License-Identifier: Apache-2.0
// POSIX ACLs, by their extended attributes: whether they are kept, shown, inherited and obeyed.
#include "acls.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

constexpr char kAccess[] = "system.posix_acl_access";
constexpr char kDefault[] = "system.posix_acl_default";

// linux/posix_acl.h is the kernel's own.
enum Tag : uint16_t { kOwner = 1, kUser = 2, kOwningGroup = 4, kGroup = 8, kMask = 16, kOther = 32 };

struct Entry {
  Tag tag;
  uint16_t permissions;
  uint32_t id = 0xffffffff;
};

std::string Encoded(const std::vector<Entry>& entries) {
  std::string value;
  const posix_acl_xattr_header header = {htole32(POSIX_ACL_XATTR_VERSION)};
  value.append(reinterpret_cast<const char*>(&header), sizeof header);
  for (const Entry& entry : entries) {
    const posix_acl_xattr_entry raw = {htole16(entry.tag), htole16(entry.permissions), htole32(entry.id)};
    value.append(reinterpret_cast<const char*>(&raw), sizeof raw);
  }
  return value;
}

long Set(const char* path, const char* name, const std::vector<Entry>& entries) {
  const std::string value = Encoded(entries);
  return setxattr(path, name, value.data(), value.size(), 0);
}

// "u::rw- u:1000:rwx m::rwx": as getfacl prints it, in one line.
std::string Shown(const char* path, const char* name) {
  std::string value(4096, '\0');
  const ssize_t size = getxattr(path, name, value.data(), value.size());
  if (size < 0) return ErrorName(errno);
  std::string text;
  for (size_t at = sizeof(posix_acl_xattr_header); at + sizeof(posix_acl_xattr_entry) <= static_cast<size_t>(size);
       at += sizeof(posix_acl_xattr_entry)) {
    posix_acl_xattr_entry raw;
    memcpy(&raw, value.data() + at, sizeof raw);
    const uint16_t tag = le16toh(raw.e_tag), permissions = le16toh(raw.e_perm);
    if (!text.empty()) text += " ";
    text += tag == kOwner || tag == kUser ? "u:" : tag == kMask ? "m:" : tag == kOther ? "o:" : "g:";
    if (tag == kUser || tag == kGroup) text += std::to_string(le32toh(raw.e_id));
    text += ":";
    text += (permissions & 4) != 0 ? "r" : "-";
    text += (permissions & 2) != 0 ? "w" : "-";
    text += (permissions & 1) != 0 ? "x" : "-";
  }
  return text;
}

std::vector<Entry> AllFor(uid_t user) {
  return {{kOwner, 6}, {kUser, 7, user}, {kOwningGroup, 4}, {kMask, 7}, {kOther, 0}};
}
const std::vector<Entry> kUserAll = AllFor(1000);

void Obeyed() {
  Make("file", "text", 0640);
  Call("set-named-user", Set("file", kAccess, kUserAll));
  Fact("set-named-user-look", Look("file"));
  Fact("set-named-user-get", Shown("file", kAccess));
  As({}, [] {
    Fact("named-user-reads", Contents("file"));
    Opened("named-user-writes", open("file", O_WRONLY));
    Call("named-user-access-x", access("file", X_OK));
    Call("named-user-chmod", chmod("file", 0666));
  });
  As({.uid = 1001, .gid = 1001}, [] { Opened("not-named-user", open("file", O_RDONLY)); });

  Make("masked", "text", 0640);
  Call("set-mask", Set("masked", kAccess, {{kOwner, 6}, {kUser, 7, 1000}, {kOwningGroup, 6}, {kMask, 4}, {kOther, 0}}));
  As({}, [] {
    Opened("mask-lets-read", open("masked", O_RDONLY));
    Opened("mask-keeps-from-writing", open("masked", O_WRONLY));
  });

  Make("denied", "text", 0644);
  Call("set-deny", Set("denied", kAccess, {{kOwner, 6}, {kUser, 0, 1000}, {kOwningGroup, 4}, {kMask, 4}, {kOther, 4}}));
  As({}, [] { Opened("denied-user", open("denied", O_RDONLY)); });
  As({.uid = 1001, .gid = 1001}, [] { Opened("denied-another-user", open("denied", O_RDONLY)); });

  Make("group", "text", 0600);
  Call("set-named-group",
       Set("group", kAccess, {{kOwner, 6}, {kOwningGroup, 0}, {kGroup, 6, 2000}, {kMask, 6}, {kOther, 0}}));
  As({.groups = {2000}}, [] { Opened("named-group-supplementary", open("group", O_RDWR)); });
  As({.gid = 2000}, [] { Opened("named-group-primary", open("group", O_RDWR)); });
  As({}, [] { Opened("not-named-group", open("group", O_RDWR)); });

  MakeDir("dir", 0700);
  Call("set-dir", Set("dir", kAccess, {{kOwner, 7}, {kUser, 7, 1000}, {kOwningGroup, 0}, {kMask, 7}, {kOther, 0}}));
  As({}, [] {
    Opened("dir-creat", open("dir/file", O_RDWR | O_CREAT, 0666));
    Call("dir-mkdir", mkdir("dir/sub", 0777));
    Opened("dir-list", open("dir", O_RDONLY | O_DIRECTORY));
    Call("dir-rename", rename("dir/file", "dir/renamed"));
    Call("dir-unlink", unlink("dir/renamed"));
  });
  As({.uid = 1001, .gid = 1001}, [] { Opened("dir-not-named", open("dir/x", O_RDWR | O_CREAT, 0666)); });
}

void Kept() {
  Make("chmodded", "", 0640);
  Ignore(Set("chmodded", kAccess, kUserAll));
  Call("chmod", chmod("chmodded", 0604));
  Fact("chmod-changes-mask", Shown("chmodded", kAccess));
  Fact("chmod-look", Look("chmodded"));
  Call("remove", removexattr("chmodded", kAccess));
  Fact("remove-get", Shown("chmodded", kAccess));
  Fact("remove-look", Look("chmodded"));

  Make("minimal", "", 0600);
  Call("set-minimal", Set("minimal", kAccess, {{kOwner, 6}, {kOwningGroup, 4}, {kOther, 4}}));
  Fact("set-minimal-look", Look("minimal"));
  Fact("set-minimal-get", Shown("minimal", kAccess));

  Make("many", "", 0600);
  std::vector<Entry> entries = {{kOwner, 6}};
  for (uint32_t id = 0; id < 60; ++id) entries.push_back({kUser, 4, 10000 + id});
  entries.insert(entries.end(), {{kOwningGroup, 4}, {kMask, 4}, {kOther, 0}});
  Call("set-60-users", Set("many", kAccess, entries));
  As({.uid = 10059, .gid = 1}, [] { Opened("last-of-60-users", open("many", O_RDONLY)); });

  Call("invalid-order", Set("minimal", kAccess, {{kOther, 4}, {kOwner, 6}, {kOwningGroup, 4}}));
  Call("invalid-no-mask", Set("minimal", kAccess, {{kOwner, 6}, {kUser, 7, 1000}, {kOwningGroup, 4}, {kOther, 4}}));
  Call("invalid-short", setxattr("minimal", kAccess, "x", 1, 0));
  Call("default-on-file", Set("minimal", kDefault, {{kOwner, 6}, {kOwningGroup, 4}, {kOther, 4}}));
  Ignore(symlink("minimal", "symlink"));
  const std::string value = Encoded(kUserAll);
  Call("on-symlink", lsetxattr("symlink", kAccess, value.data(), value.size(), 0));
  As({}, [] { Call("set-by-other", Set("minimal", kAccess, {{kOwner, 7}, {kOwningGroup, 7}, {kOther, 7}})); });
  Fact("set-by-other-look", Look("minimal"));
  Call("remove-minimal", removexattr("minimal", kAccess));
  Make("owned", "", 02755, 1000, 3000);
  As({}, [] {
    Call("set-by-owner",
         Set("owned", kAccess, {{kOwner, 7}, {kUser, 4, 1}, {kOwningGroup, 5}, {kMask, 5}, {kOther, 5}}));
    Fact("set-by-owner-clears-setgid", Look("owned"));
  });
  char list[256];
  Ignore(Set("minimal", kAccess, kUserAll));
  const ssize_t size = listxattr("minimal", list, sizeof list);
  Fact("listed", size < 0 ? ErrorName(errno) : std::string(list, size > 0 ? size - 1 : 0));
}

void Inherited() {
  MakeDir("parent");
  Call("set-default",
       Set("parent", kDefault,
           {{kOwner, 7}, {kUser, 7, 1000}, {kOwningGroup, 5}, {kGroup, 7, 2000}, {kMask, 7}, {kOther, 0}}));
  Fact("set-default-look", Look("parent"));
  umask(077);  // does not count where a default ACL does
  Ignore(close(open("parent/file", O_RDWR | O_CREAT, 0666)));
  Ignore(mkdir("parent/dir", 0777));
  Ignore(mkfifo("parent/fifo", 0660));
  Ignore(symlink("x", "parent/symlink"));
  umask(022);
  Fact("inherited-file", Shown("parent/file", kAccess));
  Fact("inherited-file-look", Look("parent/file"));
  Fact("inherited-dir", Shown("parent/dir", kAccess));
  Fact("inherited-dir-look", Look("parent/dir"));
  Fact("inherited-dir-default", Shown("parent/dir", kDefault));
  Fact("inherited-fifo", Shown("parent/fifo", kAccess));
  Fact("inherited-fifo-look", Look("parent/fifo"));
  Fact("inherited-symlink-look", Look("parent/symlink"));
  As({}, [] {
    Opened("inherited-user-writes", open("parent/file", O_RDWR));
    Opened("inherited-user-creates", open("parent/dir/x", O_RDWR | O_CREAT, 0666));
  });
  As({.uid = 1001, .gid = 1001, .groups = {2000}},
     [] { Opened("inherited-group-writes", open("parent/file", O_RDWR)); });
  Call("remove-default", removexattr("parent", kDefault));
  Ignore(close(open("parent/later", O_RDWR | O_CREAT, 0666)));
  Fact("without-default-look", Look("parent/later"));
}

}  // namespace

long SetAccessOf(const std::string& path, uid_t user) { return Set(path.c_str(), kAccess, AllFor(user)); }

std::string AccessAcl(const std::string& path) { return Shown(path.c_str(), kAccess); }

void Acls(const Place&) {
  Obeyed();
  Kept();
  Inherited();
}

}  // namespace kata::files
