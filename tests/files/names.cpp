// SPDX-License-Identifier: Apache-2.0
// Names: rename, link, unlink, mkdir, rmdir, symlink, mknod; link counts and the times that they change.
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

std::string Links(const std::string& path) { return std::to_string(Status(path).st_nlink); }

void Renaming() {
  Make("a", "a");
  Make("b", "b");
  MakeDir("empty");
  MakeDir("full");
  Make("full/x");
  MakeDir("dir");
  const ino_t inode = Status("a").st_ino;
  Call("rename-over-file", rename("a", "b"));
  Fact("rename-over-file-content", Contents("b"));
  Fact("rename-over-file-source", Look("a"));
  Is("rename-keeps-inode", Status("b").st_ino == inode);
  Call("rename-file-over-dir", rename("b", "empty"));
  Call("rename-dir-over-file", rename("dir", "b"));
  Call("rename-dir-over-empty", rename("dir", "empty"));
  MakeDir("dir");
  Call("rename-dir-over-full", rename("dir", "full"));
  Call("rename-into-itself", rename("full", "full/x2"));
  Call("rename-over-own-parent", rename("full/x", "full"));
  Call("rename-missing", rename("missing", "x"));
  Call("rename-to-missing-dir", rename("b", "missing/x"));
  Call("rename-same-name", rename("b", "b"));
  Call("rename-dot", rename(".", "x"));
  Call("rename-dotdot", rename("full/..", "x"));
  Call("rename-trailing-slash-file", rename("b", "c/"));
  Call("rename-trailing-slash-dir", rename("dir", "moved/"));
  Ignore(link("b", "hard"));
  Call("rename-hard-links-of-one", rename("b", "hard"));
  Fact("rename-hard-links-of-one-both", Links("b") + " " + Links("hard"));
  Ignore(symlink("nowhere", "symlink"));
  Call("rename-symlink", rename("symlink", "symlink2"));
  Fact("rename-symlink-look", Look("symlink2"));

  Make("one", "one");
  Make("two", "two");
  Call("noreplace-existing", renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_NOREPLACE));
  Call("noreplace-free", renameat2(AT_FDCWD, "one", AT_FDCWD, "free", RENAME_NOREPLACE));
  Call("exchange", renameat2(AT_FDCWD, "free", AT_FDCWD, "two", RENAME_EXCHANGE));
  Fact("exchange-content", Contents("free") + " " + Contents("two"));
  Call("exchange-file-and-dir", renameat2(AT_FDCWD, "free", AT_FDCWD, "full", RENAME_EXCHANGE));
  Fact("exchange-file-and-dir-look", Look("free") + ", " + Look("full"));
  Call("exchange-missing", renameat2(AT_FDCWD, "two", AT_FDCWD, "missing", RENAME_EXCHANGE));
  Call("whiteout", renameat2(AT_FDCWD, "two", AT_FDCWD, "three", RENAME_WHITEOUT));
  Fact("whiteout-look", Look("two"));
  Is("whiteout-device-0", Status("two").st_rdev == 0);
  Call("exchange-and-noreplace", renameat2(AT_FDCWD, "b", AT_FDCWD, "hard", RENAME_NOREPLACE | RENAME_EXCHANGE));
  Call("unknown-flag", renameat2(AT_FDCWD, "b", AT_FDCWD, "new", 1U << 20));

  MakeDir("from");
  MakeDir("to");
  MakeDir("from/dir");
  Make("from/dir/inner", "inner");
  const UniqueFd inner(open("from/dir", O_RDONLY | O_DIRECTORY));
  const std::string before = Links("from") + " " + Links("to");
  Call("move-dir", rename("from/dir", "to/dir"));
  Is("move-dir-parent-inode", [&] {
    struct stat parent = {};
    return fstatat(inner.get(), "..", &parent, 0) == 0 && parent.st_ino == Status("to").st_ino;
  }());
  Fact("move-dir-links-before", before);
  Fact("move-dir-links-after", Links("from") + " " + Links("to"));
  Fact("move-dir-inner", Contents("to/dir/inner"));
  As({}, [] { Call("rename-denied", rename("free", "x")); });
}

void Linking() {
  Make("file", "text");
  Call("link", link("file", "file2"));
  Fact("link-count", Links("file"));
  Is("link-same-inode", Status("file").st_ino == Status("file2").st_ino);
  Append("file2", " more");
  Fact("link-same-content", Contents("file"));
  Ignore(chmod("file2", 0600));
  Fact("link-same-mode", Look("file"));
  Call("link-existing", link("file", "file2"));
  Call("link-missing", link("missing", "x"));
  MakeDir("target-dir");
  Call("link-dir", link("target-dir", "x"));
  Ignore(symlink("file", "sym"));
  Call("link-symlink", link("sym", "sym2"));
  Fact("link-symlink-look", Look("sym2"));
  Call("link-follow", linkat(AT_FDCWD, "sym", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
  Fact("link-follow-look", Look("followed"));
  {
    const UniqueFd fd(open("file", O_RDONLY));
    Call("link-empty-path", linkat(fd.get(), "", AT_FDCWD, "by-fd", AT_EMPTY_PATH));
    const UniqueFd path(open("file", O_PATH));
    Call("link-empty-path-opath", linkat(path.get(), "", AT_FDCWD, "by-path-fd", AT_EMPTY_PATH));
    Fact("link-count-then", Links("file"));
    Call("unlink", unlink("file"));
    Fact("unlink-count", std::to_string(Status(fd.get()).st_nlink));
  }
  Ignore(mkfifo("fifo", 0644));
  Call("link-fifo", link("fifo", "fifo2"));
  Fact("link-fifo-count", Links("fifo"));
  Call("unlink-missing", unlink("missing"));
  Call("unlink-dir", unlink("target-dir"));
  Call("unlink-trailing-slash", unlink("file2/"));
  Call("unlink-below-file", unlink("file2/x"));
}

void MakingDirectories() {
  MakeDir("parent");
  Fact("mkdir-links-of-empty", Links("parent"));
  Call("mkdir", mkdir("parent/one", 0777));
  Fact("mkdir-look", Look("parent/one"));
  Call("mkdir-special-bits", mkdir("parent/two", 07777));
  Fact("mkdir-special-bits-look", Look("parent/two"));
  Fact("mkdir-links-of-parent", Links("parent"));
  Call("mkdir-existing", mkdir("parent/one", 0777));
  Call("mkdir-trailing-slash", mkdir("parent/three/", 0777));
  Call("mkdir-dot", mkdir("parent/.", 0777));
  Call("mkdir-dotdot", mkdir("parent/..", 0777));
  Call("mkdir-in-missing", mkdir("missing/x", 0777));
  Ignore(symlink("nowhere", "parent/dangling"));
  Call("mkdir-dangling-symlink", mkdir("parent/dangling", 0777));
  Call("rmdir-full", rmdir("parent"));
  Call("rmdir-dot", rmdir("parent/one/."));
  Call("rmdir-dotdot", rmdir("parent/one/.."));
  Call("rmdir", rmdir("parent/one"));
  Fact("rmdir-links-of-parent", Links("parent"));
  Call("rmdir-missing", rmdir("parent/one"));
  Make("parent/file");
  Call("rmdir-file", rmdir("parent/file"));
  Call("unlinkat-removedir", unlinkat(AT_FDCWD, "parent/two", AT_REMOVEDIR));
  InChild([] {
    Ignore(mkdir("cwd", 0777));
    Ignore(chdir("cwd"));
    Call("cwd-rmdir", rmdir("../cwd"));
    char path[PATH_MAX];
    Done("cwd-removed-getcwd", getcwd(path, sizeof path) != nullptr);
    Opened("cwd-removed-creat", open("x", O_RDWR | O_CREAT, 0666));
    Call("cwd-removed-chdir-up", chdir(".."));
    return 0;
  });
}

void Symlinks() {
  Call("symlink", symlink("where/ever", "s"));
  char target[PATH_MAX + 1];
  const ssize_t size = readlink("s", target, sizeof target);
  Fact("readlink", size < 0 ? ErrorName(errno) : std::string(target, size));
  Call("readlink-short", readlink("s", target, 3));
  Call("readlink-of-file", readlink("parent", target, sizeof target));
  Fact("symlink-size", std::to_string(Status("s").st_size));
  Fact("symlink-look", Look("s"));
  Call("symlink-existing", symlink("x", "s"));
  Call("symlink-empty", symlink("", "s2"));
  // A symlink longer than a block of some file systems: 4095 is the limit of the system call, less that of ext4.
  Call("symlink-1000", symlink(std::string(1000, 'x').c_str(), "s3"));
  Call("symlink-1000-readlink", readlink("s3", target, sizeof target));
  Call("symlink-4096", symlink(std::string(4096, 'x').c_str(), "s5"));
  Ignore(symlink("s-chain0", "chain"));
  for (int i = 0; i < 39; ++i)
    Ignore(symlink(("s-chain" + std::to_string(i + 1)).c_str(), ("s-chain" + std::to_string(i)).c_str()));
  Make("end", "end of chain");
  Ignore(symlink("end", "s-chain39"));
  Fact("symlink-40-deep", Contents("s-chain0"));
  Fact("symlink-41-deep", Contents("chain"));
}

void Nodes() {
  const struct {
    const char* name;
    mode_t type;
    dev_t device;
  } kinds[] = {{"regular", S_IFREG, 0},
               {"fifo-node", S_IFIFO, 0},
               {"socket-node", S_IFSOCK, 0},
               {"char", S_IFCHR, makedev(1, 3)},
               {"block", S_IFBLK, makedev(7, 200)},
               {"large-numbers", S_IFCHR, makedev(4000, 1000000)},
               {"whiteout-node", S_IFCHR, makedev(0, 0)}};
  for (const auto& kind : kinds) {
    Call(std::string("mknod-") + kind.name, mknod(kind.name, kind.type | 0666, kind.device));
    Fact(std::string("mknod-") + kind.name + "-look", Look(kind.name));
    Is(std::string("mknod-") + kind.name + "-device", Status(kind.name).st_rdev == kind.device);
  }
  Call("mknod-existing", mknod("regular", S_IFREG | 0666, 0));
  Call("mknod-dir", mknod("as-dir", S_IFDIR | 0777, 0));
  MakeDir("anyone", 0777);
  As({}, [] {
    Call("mknod-user-char", mknod("anyone/char", S_IFCHR | 0666, makedev(1, 3)));
    Call("mknod-user-fifo", mknod("anyone/fifo", S_IFIFO | 0666, 0));
    Call("mknod-user-socket", mknod("anyone/socket", S_IFSOCK | 0666, 0));
    Call("mknod-user-whiteout", mknod("anyone/whiteout", S_IFCHR | 0666, 0));
  });
}

void Strange() {
  const struct {
    const char *fact, *name;
  } names[] = {{"newline", "a\nb"},      {"not-utf8", "\xff\xfe"},
               {"backslash", "a\\b"},    {"leading-dash", "-x"},
               {"trailing-dot", "x."},   {"three-dots", "..."},
               {"space", " "},           {"colon", "a:b"},
               {"composed", "\xc3\xa9"}, {"decomposed", "e\xcc\x81"},
               {"upper", "CASE"},        {"lower", "case"},
               {"device-name", "nul"},   {"hidden-by-fuse", ".fuse_hidden0000"}};
  MakeDir("strange");
  for (const auto& [fact, name] : names) {
    const std::string path = std::string("strange/") + name;
    Make(path, fact);
  }
  for (const auto& [fact, name] : names)
    Fact(std::string("name-") + fact, Contents(std::string("strange/") + name) == fact ? "kept" : "another");
}

bool Changed(const timespec& before, const timespec& after) { return before < after; }

void TimesOfParents() {
  MakeDir("timed");
  Make("timed/file");
  struct stat dir = {}, file = {};
  const auto remember = [&] {
    dir = Status("timed"), file = Status("timed/file");
    Tick();
  };
  const auto show = [&](const std::string& fact) {
    const struct stat now = Status("timed"), inner = Status("timed/file");
    std::string text;
    if (Changed(dir.st_mtim, now.st_mtim)) text += " dir-mtime";
    if (Changed(dir.st_ctim, now.st_ctim)) text += " dir-ctime";
    if (Changed(file.st_mtim, inner.st_mtim)) text += " file-mtime";
    if (Changed(file.st_ctim, inner.st_ctim)) text += " file-ctime";
    Fact("times-" + fact, text.empty() ? "none" : text.substr(1));
  };
  remember();
  Make("timed/new");
  show("creat");
  remember();
  Ignore(link("timed/file", "timed/hard"));
  show("link");
  remember();
  Ignore(unlink("timed/hard"));
  show("unlink");
  remember();
  Ignore(rename("timed/new", "timed/renamed"));
  show("rename-other");
  remember();
  Ignore(rename("timed/file", "timed/x"));
  Ignore(rename("timed/x", "timed/file"));
  show("rename-itself");
  remember();
  Ignore(mkdir("timed/dir", 0777));
  show("mkdir");
  remember();
  Append("timed/renamed", "text");
  show("write-other");
  remember();
  Ignore(unlink("timed/missing"));
  show("unlink-missing");
}

}  // namespace

void Names(const Place&) {
  Renaming();
  Linking();
  MakingDirectories();
  Symlinks();
  Nodes();
  Strange();
  TimesOfParents();
}

}  // namespace kata::files
