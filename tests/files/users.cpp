// SPDX-License-Identifier: Apache-2.0
// Who may do what: owner, group, supplementary groups, sticky directories; and whose a new file is.
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

long Bind(const std::string& path) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {AF_UNIX, {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// All that makes a name, in a directory; facts PREFIX-HOW and PREFIX-HOW-look.
void MakeAll(const std::string& prefix, const std::string& dir) {
  const auto path = [&](const char* name) { return dir + "/" + name; };
  Opened(prefix + "-creat", open(path("file").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  Fact(prefix + "-creat-look", Look(path("file")));
  Call(prefix + "-mkdir", mkdir(path("dir").c_str(), 0777));
  Fact(prefix + "-mkdir-look", Look(path("dir")));
  Call(prefix + "-symlink", symlink("x", path("symlink").c_str()));
  Fact(prefix + "-symlink-look", Look(path("symlink")));
  Call(prefix + "-mkfifo", mkfifo(path("fifo").c_str(), 0666));
  Fact(prefix + "-mkfifo-look", Look(path("fifo")));
  Call(prefix + "-bind", Bind(path("socket")));
  Fact(prefix + "-bind-look", Look(path("socket")));
  Call(prefix + "-link", link(path("file").c_str(), path("link").c_str()));
  Call(prefix + "-rename", rename(path("file").c_str(), path("renamed").c_str()));
  Call(prefix + "-unlink", unlink(path("renamed").c_str()));
  Call(prefix + "-rmdir", rmdir(path("dir").c_str()));
  Opened(prefix + "-tmpfile", open(dir.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0666));
}

void Groups() {
  MakeDir("shared-setgid", 02770, 0, 2000);
  MakeDir("shared", 0770, 0, 2000);
  MakeDir("foreign", 0770, 0, 3000);
  MakeDir("own", 0755, 1000, 1000);
  const Who member = {.groups = {2000}};
  As(member, [] {
    MakeAll("supplementary-setgid", "shared-setgid");
    MakeAll("supplementary", "shared");
    MakeAll("own-dir", "own");
    Opened("foreign-creat", open("foreign/file", O_RDWR | O_CREAT, 0666));
    Call("foreign-mkdir", mkdir("foreign/dir", 0777));
  });
  Who many = {};
  for (gid_t group = 5000; group < 5060; ++group) many.groups.push_back(group);
  many.groups.push_back(2000);
  As(many, [] { Opened("last-of-61-groups-creat", open("shared/by-last", O_RDWR | O_CREAT, 0666)); });
  As({.gid = 2000}, [] {
    Opened("primary-group-creat", open("shared/by-primary", O_RDWR | O_CREAT, 0666));
    Fact("primary-group-creat-look", Look("shared/by-primary"));
  });

  Make("readable", "text", 0640, 0, 2000);
  Make("writable", "text", 0660, 0, 2000);
  Make("owned", "text", 0644, 1000, 1000);
  As(member, [] {
    Fact("group-read", Contents("readable"));
    Opened("group-read-only-write", open("readable", O_WRONLY));
    Opened("group-write", open("writable", O_RDWR));
    Call("group-truncate", truncate("writable", 2));
    Call("group-chmod", chmod("writable", 0666));
    Call("group-utime-now", utimensat(AT_FDCWD, "writable", nullptr, 0));
    const timespec times[2] = {{1, 0}, {2, 0}};
    Call("group-utime-explicit", utimensat(AT_FDCWD, "writable", times, 0));
    Call("chgrp-to-supplementary", chown("owned", -1, 2000));
    Fact("chgrp-to-supplementary-look", Look("owned"));
    Call("chgrp-to-foreign", chown("owned", -1, 3000));
    Call("chown-away", chown("owned", 0, -1));
    Call("chown-to-same", chown("owned", 1000, -1));
  });
  As({}, [] {
    Fact("no-group-read", Contents("readable"));
    Opened("no-group-creat", open("shared/x", O_RDWR | O_CREAT, 0666));
    Call("no-group-truncate", truncate("writable", 1));
  });
}

void Classes() {
  Make("others-only", "text", 0007, 1000, 2000);
  As({}, [] { Opened("owner-class-first", open("others-only", O_RDONLY)); });
  As({.uid = 1001, .gid = 2000}, [] { Opened("group-class-second", open("others-only", O_RDONLY)); });
  As({.uid = 1001, .gid = 1001, .groups = {2000}},
     [] { Opened("supplementary-class-second", open("others-only", O_RDONLY)); });
  As({.uid = 1001, .gid = 1001}, [] { Fact("other-class-last", Contents("others-only")); });
  As({.uid = 0, .gid = 0}, [] { Opened("root-without-capabilities", open("others-only", O_RDWR)); });
  As({.uid = 0, .gid = 0, .groups = {2000}}, [] {
    Opened("root-without-capabilities-shared", open("shared/by-root", O_RDWR | O_CREAT, 0666));
    Fact("root-without-capabilities-shared-look", Look("shared/by-root"));
  });

  MakeDir("no-search", 0644, 1000, 1000);
  MakeDir("no-read", 0311, 1000, 1000);
  Make("no-read/inner", "inner");
  MakeDir("no-write", 0555, 1000, 1000);
  Make("no-write/inner", "inner");
  As({}, [] {
    Opened("no-search-open", open("no-search/x", O_RDONLY));
    Opened("no-search-opendir", open("no-search", O_RDONLY | O_DIRECTORY));
    Opened("no-read-opendir", open("no-read", O_RDONLY | O_DIRECTORY));
    Fact("no-read-inner", Contents("no-read/inner"));
    Call("no-write-unlink", unlink("no-write/inner"));
    Call("no-write-rename", rename("no-write/inner", "no-write/x"));
    Call("no-write-mkdir", mkdir("no-write/dir", 0777));
  });

  MakeDir("sticky", 01777);
  Make("sticky/roots");
  Make("sticky/mine", "", 0644, 1000, 1000);
  As({}, [] {
    Call("sticky-unlink-other", unlink("sticky/roots"));
    Call("sticky-rename-other", rename("sticky/roots", "sticky/x"));
    Call("sticky-rename-over-other", rename("sticky/mine", "sticky/roots"));
    Call("sticky-unlink-mine", unlink("sticky/mine"));
  });

  // A permission that is lost or won while the file is open, and one that another process takes away.
  Make("changing", "text", 0644);
  As({}, [] {
    const UniqueFd fd(open("changing", O_RDONLY));
    Ignore(chmod("changing", 0600));
    Opened("before-chmod", open("changing", O_RDONLY));
  });
  Ignore(chmod("changing", 0600));
  As({}, [] { Opened("after-chmod-600", open("changing", O_RDONLY)); });
  Ignore(chmod("changing", 0604));
  As({}, [] { Opened("after-chmod-604", open("changing", O_RDONLY)); });
  Ignore(chown("changing", 1000, 1000));
  Ignore(chmod("changing", 0400));
  As({}, [] { Opened("after-chown", open("changing", O_RDONLY)); });
}

void FileSystemIds() {
  MakeDir("fsuid", 0777);
  InChild([] {
    setfsgid(2000);
    setfsuid(1000);
    Opened("fsuid-creat", open("fsuid/file", O_RDWR | O_CREAT, 0666));
    Fact("fsuid-creat-look", Look("fsuid/file"));
    Opened("fsuid-denied", open("foreign/file", O_RDWR | O_CREAT, 0666));
    return 0;
  });
  Call("chown-large-ids", chown("fsuid/file", 4294967294, 3000000000));
  Fact("chown-large-ids-look", Look("fsuid/file"));
  Call("chown-none", chown("fsuid/file", -1, -1));
  Call("lchown-symlink", symlink("x", "fsuid/link") == 0 ? lchown("fsuid/link", 7, 8) : -1);
  Fact("lchown-symlink-look", Look("fsuid/link"));
  Call("chown-through-symlink", chown("fsuid/link", 7, 8));
}

}  // namespace

void Users(const Place&) {
  Groups();
  Classes();
  FileSystemIds();
}

}  // namespace kata::files
