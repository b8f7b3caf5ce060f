# SPDX-License-Identifier: Apache-2.0
"""Guests and helpers that fail in their own ways, for test_faults.py."""
import os
import pathlib
import subprocess

import harness

GUEST = pathlib.Path(os.environ.get("KATA_TEST_GUEST", pathlib.Path(harness.RUNTIME).resolve().parents[1] / "guest"))

# An init that has nothing of an agent but the place where it is reached: the virtio-serial port or the vsock port.
AGENT = r"""
#include <dirent.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int channel(void) {
  char path[300], name[64];
  mkdir("/dev", 0755);
  mkdir("/sys", 0755);
  mount("dev", "/dev", "devtmpfs", 0, 0);
  mount("sys", "/sys", "sysfs", 0, 0);
  for (int tries = 0; tries < 100; ++tries) {
    DIR *ports = opendir("/sys/class/virtio-ports");
    for (struct dirent *entry; ports && (entry = readdir(ports));) {
      snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
      int fd = open(path, O_RDONLY);
      int length = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
      name[length < 0 ? 0 : length] = 0;
      if (strncmp(name, "agent.channel.0", 15) != 0) continue;
      snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
      if ((fd = open(path, O_RDWR)) >= 0) return fd;
    }
    if (ports) closedir(ports);
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 1024};
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (listener >= 0 && bind(listener, (void *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0 &&
        access("/dev/vport0p1", F_OK) != 0 && tries > 20)
      return accept(listener, 0, 0);
    if (listener >= 0) close(listener);
    poll(0, 0, 50);
  }
  return -1;
}

int main(void) {
  printf("the guest that " KIND "\n");
  int fd = channel();
  if (fd < 0) return 1;
#ifdef GARBAGE
  unsigned char bytes[4096];
  for (unsigned i = 0; i < sizeof(bytes); ++i) bytes[i] = (unsigned char)(i * 167 + (i >> 3));
  memcpy(bytes, START, sizeof(START) - 1);
  for (;;)
    if (write(fd, bytes, sizeof(bytes)) < 0) poll(0, 0, 50);
#endif
  for (;;) poll(0, 0, 1000000);
}
"""


def initrd(directory, source, *defines):
    """An initramfs whose /init is this C program."""
    (directory / "init.c").write_text(source)
    subprocess.run(["cc", "-static", "-Os", "-s", "-o", directory / "init", directory / "init.c", *defines], check=True)
    output = directory / "initrd.img"
    build = harness.REPOSITORY / "guest/initrd/build.sh"
    subprocess.run([build, "--agent", directory / "init", "--output", output, "--compress", "none"],
                   check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    return output


def lying_agent(directory, kind, start=None):
    defines = [f'-DKIND="{kind}"']
    if start is not None:
        escaped = "".join(f"\\x{byte:02x}" for byte in start)
        defines += ["-DGARBAGE", f'-DSTART="{escaped}"']
    return initrd(directory, AGENT, *defines)


def broken_program(directory):
    """A program that cannot do what it is for, and says why."""
    path = directory / "broken"
    path.write_text("#!/bin/sh\necho 'this program is broken on purpose' >&2\nexit 3\n")
    path.chmod(0o755)
    directory.chmod(0o755)  # the VMM is an unprivileged user
    return path
