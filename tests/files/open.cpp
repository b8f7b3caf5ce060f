// SPDX-License-Identifier: Apache-2.0
// open(2) and what it makes; files that are open and have no name any more.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

void Creating() {
  Opened("creat", open("new", O_RDWR | O_CREAT | O_EXCL, 0666));
  Fact("creat-look", Look("new"));
  Opened("excl-existing", open("new", O_RDWR | O_CREAT | O_EXCL, 0666));
  for (const mode_t mask : {0000, 0027, 0077}) {
    umask(mask);
    const std::string name = "mask" + std::to_string(mask);
    Ignore(close(open(name.c_str(), O_RDWR | O_CREAT, 0777)));
    Fact("creat-umask-" + std::to_string(mask), Look(name));
  }
  umask(022);
  Ignore(close(open("special", O_RDWR | O_CREAT, 07777)));
  Fact("creat-special-bits", Look("special"));
  {
    const UniqueFd fd = Opened("creat-mode-000-rdwr", open("none", O_RDWR | O_CREAT, 0));
    Call("creat-mode-000-write", Write(fd.get(), "text"));
    Fact("creat-mode-000-read", ContentsAt(fd.get(), 0));
  }
  Ignore(symlink("target-of-dangling", "dangling"));
  Opened("excl-dangling-symlink", open("dangling", O_RDWR | O_CREAT | O_EXCL, 0666));
  Opened("creat-dangling-symlink", open("dangling", O_RDWR | O_CREAT, 0666));
  Fact("creat-dangling-symlink-look", Look("target-of-dangling"));
  MakeDir("dir");
  Opened("creat-on-dir", open("dir", O_RDWR | O_CREAT, 0666));
  Opened("creat-trailing-slash", open("slash/", O_RDWR | O_CREAT, 0666));
  Opened("creat-in-missing-dir", open("missing/new", O_RDWR | O_CREAT, 0666));
  Opened("creat-in-file", open("new/new", O_RDWR | O_CREAT, 0666));
  Opened("creat-empty-name", open("", O_RDWR | O_CREAT, 0666));
  MakeDir("setgid", 02775, 0, 2000);
  Ignore(close(open("setgid/file", O_RDWR | O_CREAT, 0666)));
  Fact("creat-in-setgid-dir", Look("setgid/file"));
  Ignore(close(open("setgid/special", O_RDWR | O_CREAT, 02777)));
  Fact("creat-setgid-in-setgid-dir", Look("setgid/special"));
  Call("mkdir-in-setgid-dir", mkdir("setgid/dir", 0777));
  Fact("mkdir-in-setgid-dir-look", Look("setgid/dir"));
  Call("symlink-in-setgid-dir", symlink("x", "setgid/symlink"));
  Fact("symlink-in-setgid-dir-look", Look("setgid/symlink"));
}

void Kinds() {
  Make("plain", "0123456789");
  Ignore(symlink("plain", "link"));
  Ignore(symlink("loop2", "loop1"));
  Ignore(symlink("loop1", "loop2"));
  MakeDir("kinds");
  Opened("missing", open("nothing", O_RDONLY));
  Opened("nofollow-symlink", open("link", O_RDONLY | O_NOFOLLOW));
  Opened("path-nofollow-symlink", open("link", O_PATH | O_NOFOLLOW));
  Opened("symlink", open("link", O_RDONLY));
  Opened("symlink-loop", open("loop1", O_RDONLY));
  Opened("directory-on-file", open("plain", O_RDONLY | O_DIRECTORY));
  Opened("dir-for-writing", open("kinds", O_RDWR));
  Opened("dir-for-reading", open("kinds", O_RDONLY));
  Opened("dir-truncated", open("kinds", O_RDONLY | O_TRUNC));
  Opened("file-trailing-slash", open("plain/", O_RDONLY));
  Opened("symlink-trailing-slash", open("link/", O_RDONLY));
  Opened("below-file", open("plain/x", O_RDONLY));
  Opened("sync", open("plain", O_RDWR | O_SYNC));
  Opened("noatime-root", open("plain", O_RDONLY | O_NOATIME));
  As({}, [] { Opened("noatime-other", open("plain", O_RDONLY | O_NOATIME)); });
  Opened("direct", open("plain", O_RDWR | O_DIRECT));
  Ignore(mknod("socket", S_IFSOCK | 0666, 0));
  Opened("socket", open("socket", O_RDWR));
  Ignore(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
  const UniqueFd null = Opened("null-device", open("null", O_RDWR));
  Call("null-device-write", Write(null.get(), "text"));
  Ignore(mknod("no-driver", S_IFCHR | 0666, makedev(60, 77)));
  Opened("device-without-driver", open("no-driver", O_RDWR));
  {
    const UniqueFd path = Opened("path", open("plain", O_PATH));
    char byte = 0;
    Call("path-read", read(path.get(), &byte, 1));
    Fact("path-fstat", Look(path.get()));
    Call("path-fchmod", fchmod(path.get(), 0600));
    Opened("path-reopened", open(("/proc/self/fd/" + std::to_string(path.get())).c_str(), O_RDWR));
  }
  Ignore(close(open("plain", O_WRONLY | O_TRUNC)));
  Fact("trunc-size", std::to_string(Status("plain").st_size));
  Make("plain", "0123456789");
  Ignore(close(open("plain", O_RDONLY | O_TRUNC)));
  Fact("rdonly-trunc-size", std::to_string(Status("plain").st_size));
  const UniqueFd write_only(open("plain", O_WRONLY));
  char byte = 0;
  Call("wronly-read", read(write_only.get(), &byte, 1));
  const UniqueFd read_only(open("plain", O_RDONLY));
  Call("rdonly-write", Write(read_only.get(), "x"));
  Call("rdonly-ftruncate", ftruncate(read_only.get(), 0));
}

long OpenAt2(int directory, const char* path, uint64_t flags, uint64_t resolve) {
  open_how how = {flags, 0, resolve};
  return syscall(SYS_openat2, directory, path, &how, sizeof how);
}

void Resolving() {
  MakeDir("base");
  Make("base/file");
  Ignore(symlink("file", "base/link"));
  Ignore(symlink("../plain", "base/out"));
  const UniqueFd base(open("base", O_PATH | O_DIRECTORY));
  const int dir = base.get();
  Opened("openat2-beneath", OpenAt2(dir, "file", O_RDONLY, RESOLVE_BENEATH));
  Opened("openat2-beneath-link", OpenAt2(dir, "link", O_RDONLY, RESOLVE_BENEATH));
  Opened("openat2-beneath-escaping-link", OpenAt2(dir, "out", O_RDONLY, RESOLVE_BENEATH));
  Opened("openat2-beneath-dotdot", OpenAt2(dir, "../plain", O_RDONLY, RESOLVE_BENEATH));
  Opened("openat2-no-symlinks", OpenAt2(dir, "link", O_RDONLY, RESOLVE_NO_SYMLINKS));
  Opened("openat2-in-root-dotdot", OpenAt2(dir, "../../file", O_RDONLY, RESOLVE_IN_ROOT));
  Opened("openat2-no-xdev", OpenAt2(dir, "file", O_RDONLY, RESOLVE_NO_XDEV));
}

void Nameless() {
  Make("gone", "before");
  UniqueFd fd(open("gone", O_RDWR));
  Call("unlinked-unlink", unlink("gone"));
  Fact("unlinked-nlink", std::to_string(Status(fd.get()).st_nlink));
  Fact("unlinked-read", ContentsAt(fd.get(), 0));
  Call("unlinked-write", pwrite(fd.get(), "after!", 6, 0));
  Fact("unlinked-read-back", ContentsAt(fd.get(), 0));
  Call("unlinked-ftruncate", ftruncate(fd.get(), 3));
  Fact("unlinked-size", std::to_string(Status(fd.get()).st_size));
  Call("unlinked-fchmod", fchmod(fd.get(), 0640));
  Call("unlinked-fchown", fchown(fd.get(), 1, 2));
  Fact("unlinked-look", Look(fd.get()));
  const timespec times[2] = {{100, 0}, {200, 0}};
  Call("unlinked-futimens", futimens(fd.get(), times));
  Fact("unlinked-mtime", std::to_string(Status(fd.get()).st_mtime));
  Call("unlinked-fallocate", fallocate(fd.get(), 0, 0, 8192));
  Call("unlinked-fsync", fsync(fd.get()));
  const std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  Call("unlinked-linkat", linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "back", AT_SYMLINK_FOLLOW));
  Opened("unlinked-reopen", open(self.c_str(), O_RDONLY));
  Make("gone", "another");
  Fact("unlinked-name-again", Contents("gone"));
  Fact("unlinked-old-content", ContentsAt(fd.get(), 0));

  Make("old", "old content");
  Make("new-content", "new content");
  UniqueFd old(open("old", O_RDONLY));
  Call("replaced-rename", rename("new-content", "old"));
  Fact("replaced-open-file", ContentsAt(old.get(), 0));
  Fact("replaced-nlink", std::to_string(Status(old.get()).st_nlink));
  Fact("replaced-by-name", Contents("old"));

  MakeDir("removed");
  const UniqueFd directory(open("removed", O_RDONLY | O_DIRECTORY));
  Call("removed-dir-rmdir", rmdir("removed"));
  Fact("removed-dir-nlink", std::to_string(Status(directory.get()).st_nlink));
  Opened("removed-dir-creat", openat(directory.get(), "x", O_RDWR | O_CREAT, 0666));
  Call("removed-dir-mkdirat", mkdirat(directory.get(), "x", 0777));
  Opened("removed-dir-dot", openat(directory.get(), ".", O_RDONLY));
  Call("removed-dir-fchmod", fchmod(directory.get(), 0700));
}

void Access() {
  Make("mode000", "", 0);
  Make("mode100", "", 0100);
  Make("mode640", "", 0640, 0, 2000);
  for (const char* name : {"mode000", "mode100", "mode640"}) {
    Call(std::string("access-root-r-") + name, access(name, R_OK));
    Call(std::string("access-root-x-") + name, access(name, X_OK));
    As({.gid = 2000}, [&] {
      Call(std::string("access-user-r-") + name, access(name, R_OK));
      Call(std::string("access-user-w-") + name, access(name, W_OK));
      Call(std::string("access-user-eaccess-") + name, faccessat(AT_FDCWD, name, R_OK, AT_EACCESS));
    });
  }
  Call("access-missing", access("nothing", F_OK));
}

}  // namespace

void Open(const Place&) {
  Creating();
  Kinds();
  Resolving();
  Nameless();
  Access();
}

}  // namespace kata::files
