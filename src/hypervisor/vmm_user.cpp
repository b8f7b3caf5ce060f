// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/vmm_user.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace kata::hypervisor {
namespace {

// No user of the host has these.
constexpr uid_t kFirstOnHost = 1880000000;
// Images use ids below this.
constexpr uint32_t kFirstUnused = 65536;

// Whether a process with these credentials can open the device. In a child, so that this process stays who it is.
bool CanOpen(const std::string& device, const Command::Credentials& who) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (who.groups && setgroups(who.groups->size(), who.groups->data()) != 0) _exit(1);
    if (setresgid(who.gid, who.gid, who.gid) != 0 || setresuid(who.uid, who.uid, who.uid) != 0) _exit(1);
    _exit(open(device.c_str(), O_RDWR | O_CLOEXEC) >= 0 ? 0 : 1);
  }
  int status = 1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

uint32_t VmmIdIn(const IdMap& map, pid_t sandbox) {
  uint32_t last = 0;
  for (const IdMapping& one : map) {
    if (one.size > 0) last = std::max(last, one.inside + (one.size - 1));
  }
  for (const IdMapping& one : map) {
    if (one.size == 0 || one.inside + (one.size - 1) != last) continue;
    const uint32_t first = std::max(one.inside, kFirstUnused);
    if (last > first) return first + static_cast<uint32_t>(sandbox) % (last - first + 1);
  }
  return last;
}

Result<VmmUser> VmmUserOf(pid_t sandbox) {
  if (IsHostsRoot()) {
    const uid_t own = kFirstOnHost + static_cast<uid_t>(sandbox);
    return VmmUser{own, own};
  }
  return VmmUser{VmmIdIn(TRY(OwnUids()), sandbox), VmmIdIn(TRY(OwnGids()), sandbox)};
}

Result<Command::Credentials> VmmCredentials(const VmmUser& user, const std::string& device) {
  using Credentials = Command::Credentials;
  if (IsHostsRoot()) {
    if (user.uid == 0) {
      return Fail(Code::kInvalidArgument, "a VMM must not run as root: the sandbox needs a user of its own");
    }
    Credentials own{user.uid, user.gid, std::vector<gid_t>()};
    if (!device.empty()) own.groups = TRY(KvmGroups(device));
    return own;
  }
  std::vector<Credentials> choices;
  if (user.uid != 0 && AllowsSetgroups()) choices.push_back({user.uid, user.gid, std::vector<gid_t>()});
  if (user.uid != 0) choices.push_back({user.uid, user.gid, std::nullopt});
  choices.push_back({0, 0, std::nullopt});
  const auto fits = [&device](const Credentials& one) { return device.empty() || CanOpen(device, one); };
  const auto chosen = std::find_if(choices.begin(), choices.end(), fits);
  if (chosen == choices.end()) return Fail(Code::kPermissionDenied, "the VMM's user cannot open {}", device);
  return std::move(*chosen);
}

Result<std::vector<gid_t>> KvmGroups(const std::string& device) {
  struct stat info;
  if (stat(device.c_str(), &info) != 0) return FailErrno("cannot look at {}", device);
  constexpr mode_t kAll = S_IROTH | S_IWOTH;
  constexpr mode_t kGroup = S_IRGRP | S_IWGRP;
  if ((info.st_mode & kAll) == kAll) return std::vector<gid_t>{};
  // QEMU never gets root's group, which gives access to far more than this device.
  if ((info.st_mode & kGroup) == kGroup && info.st_gid != 0) return std::vector<gid_t>{info.st_gid};
  return Fail(
      Code::kPermissionDenied,
      "QEMU runs as an unprivileged user, which cannot open {}; chgrp kvm {} && chmod 0660 {}, or set accel = \"tcg\"",
      device, device, device);
}

}  // namespace kata::hypervisor
