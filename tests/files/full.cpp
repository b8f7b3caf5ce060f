// SPDX-License-Identifier: Apache-2.0
// A file system of the host that gets full: a tmpfs of a mebibyte and 64 inodes.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {

void Full(const Place&) {
  const std::string block(65536, 'f');
  {
    const UniqueFd fd(open("file", O_RDWR | O_CREAT, 0666));
    long written = 0, result = 0;
    while ((result = Write(fd.get(), block)) > 0 && written < (8 << 20)) written += result;
    Call("write", result);
    Is("write-most-of-it", written > 900 * 1024 && written <= 1024 * 1024);
    Is("size-is-what-was-written", Status(fd.get()).st_size == written);
    Call("fsync", fsync(fd.get()));
    Call("overwrite", pwrite(fd.get(), "x", 1, 0));
    Fact("read-back", ContentsAt(fd.get(), 0, 4));
    Call("fallocate-more", fallocate(fd.get(), 0, written, 1 << 20));
    Call("truncate-larger", ftruncate(fd.get(), 2 << 20));  // a hole takes nothing
    Call("truncate-back", ftruncate(fd.get(), written));
  }
  struct statvfs vfs = {};
  Ignore(statvfs(".", &vfs));
  Fact("statvfs-free", std::to_string(vfs.f_bavail));
  Opened("creat-empty", open("empty", O_RDWR | O_CREAT, 0666));
  {
    const UniqueFd fd(open("empty", O_RDWR));
    Call("write-empty", Write(fd.get(), "x"));
    Fact("write-empty-size", std::to_string(Status(fd.get()).st_size));
    Call("close", close(dup(fd.get())));
  }
  Call("unlink", unlink("file"));
  {
    const UniqueFd fd(open("again", O_RDWR | O_CREAT, 0666));
    Call("write-again", Write(fd.get(), block));
  }
  Ignore(unlink("again"));
  int made = 0, error = 0;
  for (; made < 200; ++made) {
    const UniqueFd fd(open(("inode" + std::to_string(made)).c_str(), O_RDWR | O_CREAT, 0666));
    if (!fd) {
      error = errno;
      break;
    }
  }
  Fact("creat-without-inodes", ErrorName(error));
  Is("creat-without-inodes-many", made > 50 && made < 64);
  Call("mkdir-without-inodes", mkdir("dir", 0777));
  Call("symlink-without-inodes", symlink("x", "symlink"));
  Call("mkfifo-without-inodes", mkfifo("fifo", 0666));
  Opened("tmpfile-without-inodes", open(".", O_RDWR | O_TMPFILE, 0666));
  Call("rename-without-inodes", rename("inode0", "renamed"));
  Call("unlink-one", unlink("inode1"));
  Opened("creat-then", open("new", O_RDWR | O_CREAT, 0666));
}

}  // namespace kata::files
