// SPDX-License-Identifier: Apache-2.0
#include "agent/namespaces.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/files.h"

namespace kata::agent {

namespace {

// Moves the agent into a new namespace, opens that, and moves back. The agent has one thread, so no other code runs in
// the new namespace meanwhile.
Result<UniqueFd> MakeNamespace(int type, const std::string& name, const std::string& hostname) {
  const std::string path = "/proc/self/ns/" + name;
  const auto old = TRY(Open(path, O_RDONLY));
  if (::unshare(type) < 0) return FailErrno("cannot make the pod's {} namespace", name);
  Result<UniqueFd> made = Open(path, O_RDONLY);
  if (made && type == CLONE_NEWUTS && !hostname.empty() && ::sethostname(hostname.data(), hostname.size()) < 0) {
    made = FailErrno("cannot set the host name \"{}\"", hostname);
  }
  if (::setns(old.get(), type) < 0) return FailErrno("cannot leave the pod's {} namespace again", name);
  return made;
}

[[noreturn]] void Pause() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  // With SIGCHLD ignored, the kernel reaps this process's children (wait(2)).
  ::signal(SIGCHLD, SIG_IGN);
  ::prctl(PR_SET_NAME, "pause");
  // When the init of a pid namespace ends, the kernel kills every process in it: the OOM killer must spare this one.
  (void)WriteFile("/proc/self/oom_score_adj", "-1000");
  ::syscall(SYS_close_range, 0U, ~0U, 0U);
  for (;;) ::pause();
}

Result<Child> StartPause() {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | CLONE_NEWPID;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) return FailErrno("cannot make the pod's pid namespace");
  if (pid == 0) Pause();
  return Child(pid, UniqueFd(pidfd));
}

}  // namespace

Result<SharedNamespaces> MakeSharedNamespaces(const std::string& hostname, bool with_pid) {
  SharedNamespaces shared;
  shared.ipc = TRY(MakeNamespace(CLONE_NEWIPC, "ipc", hostname));
  shared.uts = TRY(MakeNamespace(CLONE_NEWUTS, "uts", hostname));
  if (with_pid) TRY(NeedPidNamespace(shared));
  return shared;
}

Result<> NeedPidNamespace(SharedNamespaces& shared) {
  if (shared.pid) return {};
  Child pause = TRY(StartPause());
  shared.pid = TRY(Open(fmt::format("/proc/{}/ns/pid", pause.pid()), O_RDONLY));
  shared.pause = std::move(pause);
  return {};
}

}  // namespace kata::agent
