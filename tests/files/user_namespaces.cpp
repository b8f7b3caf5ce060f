// SPDX-License-Identifier: Apache-2.0
// Files as a user namespace in the container sees them.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

// sys/mount.h declares these things of linux/mount.h again.
extern "C" int mount(const char* source, const char* target, const char* type, unsigned long flags, const void* data);

namespace kata::files {
namespace {

constexpr unsigned long kBind = 4096, kPrivate = 1UL << 18, kRecursive = 16384;

void Inside() {
  Fact("seen-own", Look("own"));
  Fact("seen-foreign", Look("foreign"));
  Opened("creat", open("own/file", O_RDWR | O_CREAT, 0666));
  Fact("creat-look", Look("own/file"));
  Call("mkdir", mkdir("own/dir", 0777));
  Call("symlink", symlink("x", "own/symlink"));
  Call("mkfifo", mkfifo("own/fifo", 0666));
  Call("mknod-null", mknod("own/null", S_IFCHR | 0666, makedev(1, 3)));
  Call("mknod-whiteout", mknod("own/whiteout", S_IFCHR | 0666, 0));
  Call("chown-mapped", chown("own/file", 5, 6));
  Fact("chown-mapped-look", Look("own/file"));
  Call("chown-unmapped", chown("own/file", 70000, 70000));
  Call("chmod-setuid", chmod("own/file", 04755));
  Opened("foreign-creat", open("foreign/file", O_RDWR | O_CREAT, 0666));
  Opened("foreign-read-600", open("foreign-secret", O_RDONLY));
  Call("foreign-chmod", chmod("foreign", 0777));
  Call("foreign-chown", chown("foreign", 0, 0));
  Opened("mapped-read-000", open("own-secret", O_RDONLY));
  Call("user-xattr", setxattr("own/file", "user.a", "b", 1, 0));
  Call("trusted-xattr", setxattr("own/file", "trusted.a", "b", 1, 0));
  const vfs_cap_data capability = {VFS_CAP_REVISION_2, {{1U << CAP_NET_RAW, 0}, {0, 0}}};
  Call("capability-set", setxattr("own/file", "security.capability", &capability, sizeof capability, 0));
  char value[64];
  Call("capability-get", getxattr("own/file", "security.capability", value, sizeof value));
  Call("private", mount(nullptr, "/", nullptr, kPrivate | kRecursive, nullptr));
  Call("bind-mount", mount("own/dir", "own/dir", nullptr, kBind, nullptr));
  Call("overlay-mount", mount("overlay", "own/merged", "overlay", 0,
                              "lowerdir=own/lower,upperdir=own/upper,workdir=own/work,userxattr"));
  Make("own/merged/file", "new");
  Fact("overlay-file", Contents("own/merged/file"));
  Call("overlay-unlink", unlink("own/merged/lower"));
  Fact("overlay-whiteout", Look("own/upper/lower"));
}

}  // namespace

void UserNamespaces(const Place&) {
  MakeDir("own", 0755, 100000, 100000);
  for (const char* name : {"own/lower", "own/upper", "own/work", "own/merged"}) MakeDir(name, 0755, 100000, 100000);
  Make("own/lower/lower", "lower", 0644, 100000, 100000);
  MakeDir("foreign", 0755);
  Make("foreign-secret", "secret", 0600);
  Make("own-secret", "secret", 0, 100500, 100500);
  InUserNamespace(Inside);
  Fact("outside-file", Look("own/file"));
  Fact("outside-dir", Look("own/dir"));
  Fact("outside-symlink", Look("own/symlink"));
  char value[64];
  Call("outside-capability", getxattr("own/file", "security.capability", value, sizeof value));
}

}  // namespace kata::files
