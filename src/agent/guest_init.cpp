// SPDX-License-Identifier: Apache-2.0
#include "agent/guest_init.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/network/interfaces.h"
#include "base/files.h"
#include "base/log.h"

namespace kata::agent {

namespace {

struct GuestMount {
  const char* target;
  const char* type;
  unsigned long flags;
  const char* data;
};

constexpr unsigned long kStrict = MS_NOSUID | MS_NODEV | MS_NOEXEC;
constexpr std::array kMounts{
    GuestMount{"/proc", "proc", kStrict, ""},
    GuestMount{"/sys", "sysfs", kStrict, ""},
    GuestMount{"/dev", "devtmpfs", MS_NOSUID, "mode=0755"},
    GuestMount{"/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
    GuestMount{"/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    GuestMount{"/dev/mqueue", "mqueue", kStrict, ""},
    GuestMount{"/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"},
    GuestMount{"/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    GuestMount{"/sys/fs/cgroup", "cgroup2", kStrict, "nsdelegate"},
};

struct Link {
  const char* target;
  const char* path;
};

constexpr std::array kLinks{
    Link{"pts/ptmx", "/dev/ptmx"},          Link{"/proc/self/fd", "/dev/fd"},
    Link{"/proc/self/fd/0", "/dev/stdin"},  Link{"/proc/self/fd/1", "/dev/stdout"},
    Link{"/proc/self/fd/2", "/dev/stderr"},
};

void MountAll() {
  for (const GuestMount& wanted : kMounts) {
    ::mkdir(wanted.target, 0755);
    // EBUSY: the kernel itself has mounted it, as it may do with devtmpfs.
    if (::mount(wanted.type, wanted.target, wanted.type, wanted.flags, wanted.data) < 0 && errno != EBUSY) {
      log::Error("cannot mount {} at {}: {}", wanted.type, wanted.target, ErrnoText(errno));
    }
  }
  for (const Link& link : kLinks) {
    // Replaces the ptmx node of devtmpfs by a link to the devpts mount above.
    ::unlink(link.path);
    if (::symlink(link.target, link.path) < 0) log::Error("cannot make {}: {}", link.path, ErrnoText(errno));
  }
}

// Makes stdin /dev/null, and stdout and stderr the console.
void OpenConsole() {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd console(::open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC));
  const int output = console ? console.get() : null.get();
  for (const auto& [from, to] : {std::pair{null.get(), 0}, {output, 1}, {output, 2}}) {
    if (from >= 0 && from != to) ::dup2(from, to);
  }
}

void SetLimits() {
  // The agent holds up to seven descriptors for each process. Containers may raise their limit to the hard limit.
  constexpr rlimit kFiles{65536, 1048576};
  if (::setrlimit(RLIMIT_NOFILE, &kFiles) < 0) log::Error("cannot set the limit of open files: {}", ErrnoText(errno));
  // oom_score_adj stays 0: the OOM killer never kills PID 1. A child that inherited -1000 could not be killed when it
  // exceeds its memory limit, and would retry the allocation for ever.
}

void SetHostname() {
  std::string name = "localhost";
  if (auto text = ReadFile("/etc/hostname", 256)) {
    const size_t end = std::min(text->find_first_of(" \t\r\n"), text->size());
    if (end > 0) name = text->substr(0, end);
  }
  if (::sethostname(name.data(), name.size()) < 0) log::Error("cannot set the host name: {}", ErrnoText(errno));
}

}  // namespace

void SetUpGuest() {
  ::umask(0);
  MountAll();
  OpenConsole();
  ::umask(022);
  SetLimits();
  SetHostname();
  auto loopback = SetUpLoopback();
  if (!loopback) log::Error("cannot set up loopback: {}", loopback.error().message());
}

void PowerOff() {
  ::sync();
  // Without ACPI, RB_POWER_OFF only halts the CPU. A reset ends a QEMU that was started with -no-reboot.
  const bool has_switch = ::access("/sys/firmware/acpi", F_OK) == 0 || ::access("/proc/device-tree", F_OK) == 0;
  ::reboot(has_switch ? RB_POWER_OFF : RB_AUTOBOOT);
  for (;;) ::pause();
}

}  // namespace kata::agent
