// SPDX-License-Identifier: Apache-2.0
// The second half of stage 2, for create and exec: turns a process in the container into the container's command.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/container/attributes.h"
#include "agent/container/command_path.h"
#include "agent/container/devices.h"
#include "agent/container/hooks.h"
#include "agent/container/init.h"
#include "agent/container/seccomp.h"
#include "agent/container/terminal.h"
#include "base/files.h"

namespace kata::agent {

namespace {

// Sets stdin, stdout and stderr to the agent's pipes, or to the pty. A missing stream becomes the container's own
// /dev/null, or stays the guest's if the container has none.
Result<> PlaceStdio(const Plan& plan, int root) {
  const uid_t uid = plan.spec.process().user().uid();
  if (plan.terminal) {
    if (!plan.exec) return {};  // done by MakeConsole
    const Terminal terminal = TRY(OpenTerminal(root, uid, plan.rows, plan.columns));
    TRY(TakeTerminal(terminal.slave.get()));
    return SendPacket(kStatusFd, Say::kTerminal, {}, terminal.master.get());
  }
  for (const Role role : {kStdin, kStdout, kStderr}) {
    const auto number = static_cast<int>(role);
    if (plan.fd(role) >= 0) {
      // Lets the user open /dev/stdout again. A stream whose owner cannot be changed works otherwise.
      [[maybe_unused]] const int ignored = fchown(plan.fd(role), uid, static_cast<gid_t>(-1));
      if (dup2(plan.fd(role), number) < 0) return FailErrno("cannot set up the process's streams");
      continue;
    }
    const auto null = OpenBeneath(root, "dev/null", O_PATH);
    if (!null || !IsCharDevice(null->get(), 1, 3)) continue;
    const auto opened = OpenBeneath(root, "dev/null", O_RDWR | O_NOCTTY);
    if (opened && IsCharDevice(opened->get(), 1, 3) && dup2(opened->get(), number) < 0) {
      return FailErrno("cannot set up the process's streams");
    }
  }
  return {};
}

// Tries to enter the working directory as root, which may enter directories that the user may not. False: permission
// denied. The user may still be able to enter it, as on a network filesystem.
Result<bool> EnterAsRoot(const std::string& path) {
  if (chdir(path.c_str()) == 0) return true;
  if (errno == EACCES || errno == EPERM) return false;
  return FailErrno("process.cwd: chdir to cwd (\"{}\") failed", path);
}

Result<> EnterAsUser(const std::string& path) {
  if (chdir(path.c_str()) != 0) return FailErrno("process.cwd: chdir to cwd (\"{}\") failed", path);
  return {};
}

// Fails if the working directory is outside of the root, to which a leaked descriptor could have led (CVE-2024-21626).
// Uses the system call, because getcwd(3) searches for a path by itself if the kernel's answer is not absolute.
Result<> CheckWorkingDirectory(const std::string& path) {
  std::array<char, PATH_MAX> where{};
  if (syscall(SYS_getcwd, where.data(), where.size()) < 0 || where[0] != '/') {
    return Fail(Code::kPermissionDenied, "process.cwd: \"{}\" is outside of the container's root", path);
  }
  return {};
}

// Drops duplicate groups, as runc does.
std::vector<gid_t> AdditionalGroups(const grpc::User& user) {
  std::vector<gid_t> groups;
  for (const gid_t group : user.additionalgids()) {
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  return groups;
}

Result<> ChangeUser(const grpc::User& user) {
  const std::vector<gid_t> groups = AdditionalGroups(user);
  if (setgroups(groups.size(), groups.data()) != 0) return FailErrno("process.user.additionalGids: cannot set them");
  if (setresgid(user.gid(), user.gid(), user.gid()) != 0) {
    return FailErrno("process.user.gid: cannot become group {}", user.gid());
  }
  if (setresuid(user.uid(), user.uid(), user.uid()) != 0) {
    return FailErrno("process.user.uid: cannot become user {}", user.uid());
  }
  return {};
}

std::vector<std::string> Environment(const grpc::Process& process) {
  std::vector<std::string> env(process.env().begin(), process.env().end());
  std::string home;
  if (FindVariable(env, "HOME", &home) == nullptr || home.empty()) {
    env.push_back("HOME=" + FindHome(process.user().uid()));
  }
  return env;
}

template <typename Strings>
std::vector<char*> Pointers(const Strings& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Sets user, groups, capabilities and no_new_privs, and enters the working directory. The order matters: each step
// needs rights that a later step takes away.
Result<> DropPrivileges(const Plan& plan, bool filtered) {
  const grpc::Process& process = plan.spec.process();
  if (process.nonewprivileges() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return FailErrno("process.noNewPrivileges: cannot set it");
  }
  const bool entered = TRY(EnterAsRoot(process.cwd()));
  TRY(LimitBoundingSet(plan.capabilities));
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return FailErrno("cannot keep the capabilities");
  TRY(ChangeUser(process.user()));
  if (!entered) TRY(EnterAsUser(process.cwd()));
  TRY(CheckWorkingDirectory(process.cwd()));
  // Without no_new_privs, loading a seccomp filter needs CAP_SYS_ADMIN. The filter is loaded last, so that it cannot
  // refuse a system call of the agent's own code. So this process keeps the capability until execve(2).
  const uint64_t until_exec = filtered && !process.nonewprivileges() ? uint64_t{1} << CAP_SYS_ADMIN : 0;
  TRY(ApplyCapabilities(plan.capabilities, until_exec));
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return FailErrno("cannot let go of the capabilities");
  // Changes of user and capabilities set dumpable to suid_dumpable (prctl(2)), which would open this process to
  // ptrace(2) by processes of the container.
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return FailErrno("cannot become undumpable");
  return {};
}

}  // namespace

Result<> BecomeProcess(const Plan& plan) {
  const grpc::Process& process = plan.spec.process();
  {
    const UniqueFd root = TRY(Open("/", O_PATH | O_DIRECTORY));
    TRY(PlaceStdio(plan, root.get()));
  }
  // Closed before the working directory is entered, so that no path can lead through one of them (CVE-2024-21626).
  for (size_t role = 0; role < kRoles; ++role) {
    if (role != kSeccomp && plan.fd(static_cast<Role>(role)) >= 0) close(plan.fd(static_cast<Role>(role)));
  }
  // Joins a new session keyring. A failure is harmless: a kernel without keyrings has none to share.
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  if (plan.spec.linux().has_personality()) TRY(ApplyPersonality(plan.spec.linux().personality()));
  umask(process.user().has_umask() ? process.user().umask() & 0777U : 0022);
  if (!plan.exec && plan.spec.linux().has_seccomp()) {
    TRY(CompileSeccomp(plan.spec.linux().seccomp(), plan.fd(kSeccomp)));
  }

  SeccompFilter filter;
  if (plan.fd(kSeccomp) >= 0) filter = TRY(ReadSeccomp(plan.fd(kSeccomp)));
  TRY(DropPrivileges(plan, !filter.code.empty()));
  const std::vector<std::string> env = Environment(process);
  const std::string path = TRY(FindCommand(process.args(0), env));

  TRY(SendPacket(kStatusFd, Say::kReady));
  const Packet go = TRY(ReceivePacket(kStatusFd));
  if (go.end || go.what != Say::kGo) _exit(1);  // the agent has given the process up

  TRY(RunStartContainerHooks(plan.spec, plan.id, env, filter));
  const std::vector<char*> argv = Pointers(process.args());
  const std::vector<char*> envp = Pointers(env);
  // A safeguard: all descriptors are close-on-exec already.
  syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  // No system call may come between here and execve(2), because the filter may refuse it or kill the process.
  if (!LoadSeccomp(filter)) return FailErrno("linux.seccomp: cannot load the filter");
  execve(path.c_str(), argv.data(), envp.data());
  const int sys = errno;
  if (sys == ENOENT) return Fail(Code::kNotFound, "exec {}: no such file or directory", path);
  if (sys == EACCES) return Fail(Code::kPermissionDenied, "exec {}: permission denied", path);
  if (sys == ENOEXEC) return Fail(Code::kInvalidArgument, "exec {}: exec format error", path);
  return FailWith(sys, "exec {}", path);
}

}  // namespace kata::agent
