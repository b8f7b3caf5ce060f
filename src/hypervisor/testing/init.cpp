// SPDX-License-Identifier: Apache-2.0
// The init of the tests' guests. It does what the kernel parameter test= says, which the kernel passes in the
// environment.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

// The agent's port is the second one (number 1) of the only virtio-serial device.
int OpenPort() {
  DIR* directory = opendir("/dev");
  int fd = -1;
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name.rfind("vport", 0) == 0 && name.substr(name.size() - 2) == "p1")
      fd = open(("/dev/" + name).c_str(), O_RDWR);
  }
  return fd;
}

void Echo() {
  const int port = OpenPort();
  printf("the port is %s\n", port >= 0 ? "open" : "missing");
  char buffer[65536];
  for (ssize_t count; (count = read(port, buffer, sizeof buffer)) > 0;) {
    for (ssize_t done = 0, n; done < count && (n = write(port, buffer + done, count - done)) > 0;) done += n;
  }
}

void Say(const char* what, int result) { printf("%s: %s\n", what, result == 0 ? "ok" : strerror(errno)); }

void Share() {
  mkdir("/mnt", 0755);
  Say("mount", mount("kataShared", "/mnt", "virtiofs", 0, nullptr));
  char text[64] = {};
  const int hello = open("/mnt/hello", O_RDONLY);
  printf("hello: %s\n", read(hello, text, sizeof text - 1) > 0 ? text : strerror(errno));
  const int out = open("/mnt/out", O_CREAT | O_WRONLY, 0640);
  Say("write", write(out, "from the guest", 14) == 14 ? 0 : -1);
  Say("chown", fchown(out, 1234, 5678));
  Say("user.note", fsetxattr(out, "user.note", "n", 1, 0));
  const unsigned char capability[20] = {0, 0, 0, 2, 0, 4};  // VFS_CAP_REVISION_2, CAP_NET_BIND_SERVICE
  Say("security.capability", fsetxattr(out, "security.capability", capability, sizeof capability, 0));
  Say("security.selinux", fsetxattr(out, "security.selinux", "x", 1, 0));
  Say("fifo", mkfifo("/mnt/fifo", 0600));
  Say("device", mknod("/mnt/device", S_IFCHR | 0600, (1 << 8) | 3));
  Say("link", symlink("/etc/passwd", "/mnt/link"));
  struct stat outer = {};
  struct stat inner = {};
  stat("/mnt", &outer);
  Say("later", stat("/mnt/later/file", &inner));
  printf("a mount of its own: %s\n", outer.st_dev != inner.st_dev ? "yes" : "no");
  close(hello);
  close(out);
  Say("unmount", umount2("/mnt/later", 0) == 0 ? umount2("/mnt", 0) : -1);
  Say("mount again", mount("kataShared", "/mnt", "virtiofs", 0, nullptr));
  const int again = open("/mnt/hello", O_RDONLY);
  printf("hello again: %s\n", read(again, text, sizeof text - 1) > 0 ? text : strerror(errno));
}

}  // namespace

int main() {
  mkdir("/dev", 0755);
  mount("dev", "/dev", "devtmpfs", 0, nullptr);
  const int console = open("/dev/console", O_RDWR);
  dup2(console, 0);
  dup2(console, 1);
  dup2(console, 2);
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const char* test = getenv("test");
  const std::string what = test != nullptr ? test : "";
  printf("init: %s\n", what.c_str());
  if (what == "echo") Echo();
  if (what == "share") Share();
  if (what == "panic") return 1;  // the kernel panics when init exits
  if (what == "reboot") reboot(RB_AUTOBOOT);
  if (what == "hang") pause();
  if (what == "flood") {
    while (true) puts("\x1b[31mflood of the console");
  }
  // A VM without ACPI cannot power off, but a reboot also ends it.
  mkdir("/sys", 0755);
  mount("sysfs", "/sys", "sysfs", 0, nullptr);
  reboot(access("/sys/firmware/acpi", F_OK) == 0 ? RB_POWER_OFF : RB_AUTOBOOT);
}
