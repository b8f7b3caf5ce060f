// SPDX-License-Identifier: Apache-2.0
// Idmapped mounts: of a directory by which others see what is made in the mount, and as the place of all other areas.
#include "idmapped.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "acls.h"
#include "areas.h"

// sys/mount.h declares these things of linux/mount.h again.
extern "C" int mount(const char* source, const char* target, const char* type, unsigned long flags, const void* data);
extern "C" int umount2(const char* target, int flags);

namespace kata::files {
namespace {

constexpr unsigned long kPrivate = 1UL << 18, kRecursive = 16384;
constexpr int kDetach = 2;
constexpr uid_t kBase = kFirstOfNamespace;

// The name of errno, or "0".
std::string MountMapped(const std::string& from, const std::string& to, pid_t mapped) {
  const UniqueFd user_namespace(open(("/proc/" + std::to_string(mapped) + "/ns/user").c_str(), O_RDONLY));
  const UniqueFd tree(
      static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, from.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace.get());
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return ErrorName(errno);
  }
  return Answer(syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, to.c_str(), MOVE_MOUNT_F_EMPTY_PATH));
}

// What is made by the mount, and what it is without the mapping.
void Made(const char* who) {
  const std::string name = std::string("by-") + who + "-";
  const auto both = [&](const std::string& what, const std::string& when = "") {
    Fact(name + what + when + "-seen", Look("mapped/" + name + what));
    Fact(name + what + when + "-stored", Look("plain/" + name + what));
  };
  const auto path = [&](const char* what) { return "mapped/" + name + what; };
  Opened(name + "creat", open(path("file").c_str(), O_RDWR | O_CREAT | O_EXCL, 0666));
  both("file");
  Call(name + "mkdir", mkdir(path("dir").c_str(), 0777));
  both("dir");
  Call(name + "symlink", symlink("x", path("symlink").c_str()));
  both("symlink");
  Call(name + "mkfifo", mkfifo(path("fifo").c_str(), 0666));
  both("fifo");
  Call(name + "mknod-file", mknod(path("node").c_str(), S_IFREG | 0666, 0));
  both("node");
  Call(name + "mknod-null", mknod(path("null").c_str(), S_IFCHR | 0666, makedev(1, 3)));
  both("null");
  const UniqueFd unnamed = Opened(name + "tmpfile", open("mapped", O_TMPFILE | O_RDWR, 0666));
  if (unnamed) {
    Fact(name + "tmpfile-look", Look(unnamed.get()));
    Call(name + "tmpfile-link", linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(unnamed.get())).c_str(), AT_FDCWD,
                                       path("tmpfile").c_str(), AT_SYMLINK_FOLLOW));
    both("tmpfile");
  }
  Call(name + "group-dir-creat", mknod(("mapped/group/" + name + "file").c_str(), S_IFREG | 0666, 0));
  Fact(name + "group-dir-stored", Look("plain/group/" + name + "file"));
  Call(name + "link", link("mapped/common", path("link").c_str()));
  Call(name + "rename", rename(path("file").c_str(), path("renamed").c_str()));
  both("renamed");
  Call(name + "whiteout",
       renameat2(AT_FDCWD, path("renamed").c_str(), AT_FDCWD, path("moved").c_str(), RENAME_WHITEOUT));
  both("renamed", "-by-a-whiteout");
  Call(name + "chmod", chmod(path("dir").c_str(), 02751));
  both("dir", "-chmod");
  Call(name + "chown-mapped", lchown(path("symlink").c_str(), kBase + 5, kBase + 6));
  both("symlink", "-chown");
  Call(name + "chown-unmapped", lchown(path("fifo").c_str(), 5, 6));
  both("fifo", "-chown");
  Call(name + "group-unmapped", lchown(path("fifo").c_str(), -1, 6));
}

void Others() {
  for (const char* file : {"root", "secret", "far", "user"}) {
    const std::string name = file;
    Fact(name + "-seen", Look("mapped/" + name));
    for (const auto& [who, id] : {std::pair{"root", kBase}, {"user", kBase + 1000}, {"stranger", uid_t{1000}}}) {
      As({.uid = id, .gid = id}, [&, who = std::string(who)] {
        Fact(name + "-read-by-" + who, Contents("mapped/" + name));
        Opened(name + "-write-by-" + who, open(("mapped/" + name).c_str(), O_WRONLY));
        Call(name + "-chmod-by-" + who, chmod(("mapped/" + name).c_str(), Status("mapped/" + name).st_mode & 07777));
        Call(name + "-utimes-by-" + who, utimes(("mapped/" + name).c_str(), nullptr));
      });
    }
    Fact(name + "-read-by-all-capabilities", Contents("mapped/" + name));
    Call(name + "-chown-by-all-capabilities", chown(("mapped/" + name).c_str(), kBase + 7, kBase + 8));
    Fact(name + "-chown-stored", Look("plain/" + name));
    Call(name + "-user-xattr", setxattr(("mapped/" + name).c_str(), "user.a", "b", 1, 0));
    Call(name + "-link", link(("mapped/" + name).c_str(), ("mapped/" + name + "-link").c_str()));
    Call(name + "-rename", rename(("mapped/" + name).c_str(), ("mapped/" + name + "-moved").c_str()));
    Call(name + "-unlink", unlink(("mapped/" + name + "-moved").c_str()));
  }
}

void Lists() {
  Make("plain/list", "text", 0640);
  Call("acl-set", SetAccessOf("mapped/list", kBase + 2000));
  Fact("acl-seen", AccessAcl("mapped/list"));
  Fact("acl-stored", AccessAcl("plain/list"));
  Call("acl-set-unmapped", SetAccessOf("mapped/list", 2000));
  for (const auto& [who, id] : {std::pair{"named", kBase + 2000}, {"other", kBase + 2001}, {"stranger", uid_t{2000}}}) {
    As({.uid = id, .gid = id}, [who = std::string(who)] { Fact("acl-read-by-" + who, Contents("mapped/list")); });
  }
  Call("acl-set-plain", SetAccessOf("plain/list", 70000));
  Fact("acl-far-seen", AccessAcl("mapped/list"));
}

}  // namespace

void InIdmappedMount(const std::string& directory, const std::function<void()>& function) {
  bool mounted = false;
  InUserNamespace(function, [&](pid_t inside) {
    const std::string answer = MountMapped(directory, directory, inside);
    Fact("mount", answer);
    mounted = answer == "0";
  });
  if (mounted) Call("umount", umount2(directory.c_str(), kDetach));
}

void Idmapped(const Place&) {
  umask(0);
  Call("unshare", unshare(CLONE_NEWNS));
  Ignore(mount(nullptr, "/", nullptr, kPrivate | kRecursive, nullptr));
  MakeDir("plain", 0777);
  MakeDir("plain/group", 02777, 0, 3000);
  MakeDir("mapped");
  Make("plain/common", "", 0666);
  Make("plain/root", "of root");
  Make("plain/secret", "secret", 0600);
  Make("plain/user", "of a user", 0600, 1000, 1000);
  Make("plain/far", "unmapped", 0644, 70000, 70000);
  InUserNamespace([] {}, [](pid_t inside) { Fact("mount", MountMapped("plain", "mapped", inside)); });
  Fact("plain-seen", Look("mapped"));
  Made("unmapped");
  As({.uid = kBase, .gid = kBase}, [] { Made("root"); });
  As({.uid = kBase + 9, .gid = kBase + 10, .capabilities = 1U << CAP_MKNOD | 1U << CAP_CHOWN}, [] { Made("capable"); });
  As({.uid = kBase + 9, .gid = 10}, [] { Made("half"); });
  Lists();
  Others();
}

}  // namespace kata::files
