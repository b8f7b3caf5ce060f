// SPDX-License-Identifier: Apache-2.0
#include "base/user_namespace.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <sstream>
#include <string>

#include "base/child.h"
#include "base/files.h"

namespace kata {

namespace {

Result<> WriteMap(pid_t pid, const char* file, const std::string& field, const IdMap& map) {
  if (map.empty()) return Fail(Code::kInvalidArgument, "{}: a user namespace needs it", field);
  std::string text;
  for (const IdMapping& one : map) text += fmt::format("{} {} {}\n", one.inside, one.outside, one.size);
  return Context(WriteFile(fmt::format("/proc/{}/{}", pid, file), text), "{}", field);
}

// A process in a new user namespace that does nothing. It makes system calls only, since the caller may have threads,
// and handles no signals, since its handlers would be the caller's.
Result<Child> StartHolder() {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid == 0) {
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) syscall(SYS_pause);
  }
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (pid < 0) return FailWith(error, "cannot make a user namespace");
  return Child(pid, UniqueFd(pidfd));
}

Result<IdMap> ReadMap(const char* file) {
  std::istringstream lines(TRY(ReadFile(file)));
  IdMap map;
  for (IdMapping one; lines >> one.inside >> one.outside >> one.size;) map.push_back(one);
  return map;
}

}  // namespace

Result<pid_t> PidInProc(int pidfd) {
  const std::string text = TRY(ReadFile(fmt::format("/proc/self/fdinfo/{}", pidfd)));
  constexpr std::string_view kField = "\nPid:\t";
  const size_t at = text.find(kField);
  pid_t pid = -1;
  if (at != std::string::npos) std::from_chars(text.data() + at + kField.size(), text.data() + text.size(), pid);
  if (pid <= 0) return Fail(Code::kNotFound, "the process has ended");
  return pid;
}

Result<> WriteIdMaps(int pidfd, std::string_view where, const IdMap& uids, const IdMap& gids) {
  const pid_t pid = TRY(PidInProc(pidfd));
  TRY(WriteMap(pid, "uid_map", fmt::format("{}uidMappings", where), uids));
  return WriteMap(pid, "gid_map", fmt::format("{}gidMappings", where), gids);
}

Result<UniqueFd> MakeUserNamespace(std::string_view where, const IdMap& uids, const IdMap& gids) {
  const Child holder = TRY(StartHolder());
  TRY(WriteIdMaps(holder.pidfd(), where, uids, gids));
  return Open(fmt::format("/proc/{}/ns/user", TRY(PidInProc(holder.pidfd()))), O_RDONLY);
}

bool IsHostsRoot() {
  constexpr std::string_view kEverybody = "4294967295";  // user_namespaces(7)
  const auto map = ReadFile("/proc/self/uid_map");
  // Without an answer (no descriptor is left) it is root of whatever it seems: what fails later says why.
  return geteuid() == 0 && (!map || map->find(kEverybody) != std::string::npos);
}

Result<> RequireRoot() {
  const uid_t uid = geteuid();
  if (uid == 0) return {};
  return Fail(
      Code::kPermissionDenied,
      "uid {} cannot start a virtual machine, which needs root, if only that of a user namespace: use Podman, or "
      "call this by `podman unshare` or `unshare --user --map-root-user`",
      uid);
}

Result<IdMap> OwnUids() { return ReadMap("/proc/self/uid_map"); }
Result<IdMap> OwnGids() { return ReadMap("/proc/self/gid_map"); }

bool AllowsSetgroups() {
  const auto allows = ReadFile("/proc/self/setgroups");
  return !allows || !allows->starts_with("deny");
}

}  // namespace kata
