// SPDX-License-Identifier: Apache-2.0
// Mounts that a container makes on its own directories: an engine's overlay above all, and bind mounts.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

// The directories of an overlay, with something in the lower one.
void Prepare(const std::string& name) {
  MakeDir(name);
  for (const char* part : {"lower", "upper", "work", "merged"}) MakeDir(name + "/" + part);
  Make(name + "/lower/file", "lower", 0640, 1000, 1000);
  Ignore(setxattr((name + "/lower/file").c_str(), "user.a", "b", 1, 0));
  MakeDir(name + "/lower/dir");
  Make(name + "/lower/dir/inner", "inner");
  Make(name + "/lower/removed", "removed");
  MakeDir(name + "/lower/replaced");
  Make(name + "/lower/replaced/old", "old");
}

long MountOverlay(const std::string& name, const char* more) {
  const std::string options =
      "lowerdir=" + name + "/lower,upperdir=" + name + "/upper,workdir=" + name + "/work" + more;
  return mount("overlay", (name + "/merged").c_str(), "overlay", 0, options.c_str());
}

// What an engine's container does to its layers.
void Use(const std::string& prefix, const std::string& name) {
  const std::string merged = name + "/merged/", upper = name + "/upper/";
  Fact(prefix + "-read", Contents(merged + "file"));
  Append(merged + "file", " changed");
  Fact(prefix + "-changed", Contents(merged + "file"));
  Fact(prefix + "-lower-kept", Contents(name + "/lower/file"));
  Fact(prefix + "-copied-up", Look(upper + "file"));
  char value[8];
  Call(prefix + "-copied-up-xattr", getxattr((merged + "file").c_str(), "user.a", value, sizeof value));
  Call(prefix + "-unlink", unlink((merged + "removed").c_str()));
  Fact(prefix + "-whiteout", Look(upper + "removed"));
  Fact(prefix + "-unlinked", Look(merged + "removed"));
  Call(prefix + "-rmdir-full", rmdir((merged + "replaced").c_str()));
  Call(prefix + "-remove-inner", unlink((merged + "replaced/old").c_str()));
  Call(prefix + "-rmdir", rmdir((merged + "replaced").c_str()));
  Call(prefix + "-mkdir-again", mkdir((merged + "replaced").c_str(), 0755));
  Fact(prefix + "-opaque", Look(merged + "replaced/old"));
  Call(prefix + "-rename-dir", rename((merged + "dir").c_str(), (merged + "moved").c_str()));
  Make(merged + "new", "new");
  Call(prefix + "-rename-new", rename((merged + "new").c_str(), (merged + "newer").c_str()));
  Fact(prefix + "-new-in-upper", Contents(upper + "newer"));
  Opened(prefix + "-tmpfile", open(merged.c_str(), O_RDWR | O_TMPFILE, 0600));
  Call(prefix + "-chown", chown((merged + "dir/inner").c_str(), 5, 6));
  Fact(prefix + "-chown-look", Look(merged + "dir/inner"));
}

}  // namespace

void Overlay(const Place&) {
  // Of its own, so that no mount outlives the area.
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    Fact("namespace", ErrorName(errno));
    return;
  }
  Prepare("engine");
  Call("mount", MountOverlay("engine", ""));
  Use("overlay", "engine");
  Call("unmount", umount2("engine/merged", MNT_DETACH));
  Call("mount-again", MountOverlay("engine", ""));
  Fact("mount-again-content", Contents("engine/merged/file"));
  Ignore(umount2("engine/merged", MNT_DETACH));
  Prepare("user");
  Call("userxattr-mount", MountOverlay("user", ",userxattr"));
  Use("userxattr", "user");
  Ignore(umount2("user/merged", MNT_DETACH));
  Prepare("volatile");
  Call("volatile-mount", MountOverlay("volatile", ",volatile"));
  Ignore(umount2("volatile/merged", MNT_DETACH));
  Prepare("redirect");
  Call("redirect-mount", MountOverlay("redirect", ",redirect_dir=on"));
  Call("redirect-rename-dir", rename("redirect/merged/dir", "redirect/merged/moved"));
  Fact("redirect-inner", Contents("redirect/merged/moved/inner"));
  Ignore(umount2("redirect/merged", MNT_DETACH));
  Prepare("read-only");
  MakeDir("read-only/lower2");
  Make("read-only/lower2/file", "second");
  Call("lower-only-mount",
       mount("overlay", "read-only/merged", "overlay", 0, "lowerdir=read-only/lower2:read-only/lower"));
  Fact("lower-only-content", Contents("read-only/merged/file"));
  Ignore(umount2("read-only/merged", MNT_DETACH));
  // An upper directory in memory, as engines do that know of such file systems.
  Prepare("memory");
  Ignore(mount("tmpfs", "memory/upper", "tmpfs", 0, nullptr));
  MakeDir("memory/upper/upper");
  MakeDir("memory/upper/work");
  Call("memory-upper-mount", mount("overlay", "memory/merged", "overlay", 0,
                                   "lowerdir=memory/lower,upperdir=memory/upper/upper,workdir=memory/upper/work"));
  Fact("memory-upper-content", Contents("memory/merged/file"));
  Ignore(umount2("memory/merged", MNT_DETACH));
  Ignore(umount2("memory/upper", MNT_DETACH));

  MakeDir("source");
  MakeDir("target");
  Make("source/file", "bound");
  Call("bind", mount("source", "target", nullptr, MS_BIND, nullptr));
  Fact("bind-content", Contents("target/file"));
  Call("bind-rename-across", rename("target/file", "source/x"));
  Call("bind-busy-rmdir", rmdir("target"));
  Call("bind-busy-rename", rename("target", "target2"));
  Call("bind-remount-read-only", mount(nullptr, "target", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr));
  Opened("bind-read-only-write", open("target/file", O_WRONLY));
  Opened("bind-read-only-other-side", open("source/file", O_WRONLY));
  Call("bind-unmount", umount2("target", 0));
  Call("bind-unmounted-rmdir", rmdir("target"));
  Make("file-target");
  Call("bind-file", mount("source/file", "file-target", nullptr, MS_BIND, nullptr));
  Fact("bind-file-content", Contents("file-target"));
  Ignore(umount2("file-target", MNT_DETACH));
}

}  // namespace kata::files
