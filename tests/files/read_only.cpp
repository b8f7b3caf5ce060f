// SPDX-License-Identifier: Apache-2.0
// A mount that may not be written; the driver has put "file", "dir/inner", "link" and "fifo" there.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {

void ReadOnly(const Place&) {
  Fact("read", Contents("file"));
  Fact("read-inner", Contents("dir/inner"));
  Fact("read-link", Contents("link"));
  Fact("look", Look("file"));
  Fact("missing", Look("missing"));
  Opened("open-write", open("file", O_WRONLY));
  Opened("open-rdwr", open("file", O_RDWR));
  Opened("open-creat-existing", open("file", O_RDONLY | O_CREAT, 0666));
  Opened("open-creat-excl-existing", open("file", O_RDONLY | O_CREAT | O_EXCL, 0666));
  Opened("open-creat-new", open("new", O_RDWR | O_CREAT, 0666));
  Opened("open-trunc", open("file", O_RDONLY | O_TRUNC));
  Opened("open-tmpfile", open(".", O_RDWR | O_TMPFILE, 0666));
  Opened("open-dir", open("dir", O_RDONLY | O_DIRECTORY));
  Call("truncate", truncate("file", 0));
  Call("mkdir", mkdir("new", 0777));
  Call("mkdir-existing", mkdir("dir", 0777));
  Call("rmdir", rmdir("dir"));
  Call("rmdir-missing", rmdir("missing"));
  Call("unlink", unlink("file"));
  Call("unlink-missing", unlink("missing"));
  Call("rename", rename("file", "file2"));
  Call("rename-missing", rename("missing", "x"));
  Call("link", link("file", "file2"));
  Call("symlink", symlink("x", "new"));
  Call("mkfifo", mkfifo("new", 0666));
  Call("chmod", chmod("file", 0600));
  Call("chown", chown("file", 1, 1));
  Call("utimes", utimensat(AT_FDCWD, "file", nullptr, 0));
  Call("setxattr", setxattr("file", "user.a", "b", 1, 0));
  Call("removexattr", removexattr("file", "user.a"));
  char value[8];
  Call("getxattr-missing", getxattr("file", "user.a", value, sizeof value));
  Call("access-write", access("file", W_OK));
  Call("access-read", access("file", R_OK));
  const UniqueFd fd(open("file", O_RDONLY));
  Call("fchmod", fchmod(fd.get(), 0600));
  Call("fallocate", fallocate(fd.get(), 0, 0, 10));
  Call("fsync", fsync(fd.get()));
  Call("flock", flock(fd.get(), LOCK_EX | LOCK_NB));
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  Done("mmap-write", memory != MAP_FAILED);
  memory = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
  Done("mmap-read", memory != MAP_FAILED);
  int flags = FS_NODUMP_FL;
  Is("set-flags-refused", ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) != 0);
  const struct stat before = Status("file");
  Tick();
  ContentsAt(fd.get(), 0);
  Is("read-keeps-atime", Same(before.st_atim, Status("file").st_atim));
  struct statvfs vfs = {};
  Call("statvfs", statvfs(".", &vfs));
  Is("statvfs-read-only", (vfs.f_flag & ST_RDONLY) != 0);
  // What is no file of the file system may be used on a read-only one.
  Opened("fifo-rdwr", open("fifo", O_RDWR | O_NONBLOCK));
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = {AF_UNIX, "new"};
  Call("bind", bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  const UniqueFd notify(inotify_init1(IN_CLOEXEC));
  Done("inotify", inotify_add_watch(notify.get(), "file", IN_ALL_EVENTS) >= 0);
  As({}, [] {
    Opened("user-open-write", open("file", O_WRONLY));
    Call("user-unlink", unlink("file"));
    Call("user-mkdir", mkdir("new", 0777));
  });
}

}  // namespace kata::files
