// SPDX-License-Identifier: Apache-2.0
#include "agent/namespaces.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "agent/container/id_mapping.h"
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

// Starts it as a child of the agent with a pid namespace that this user namespace owns. The agent itself could not
// leave the user namespace again.
Result<Child> StartPauseIn(int user_namespace) {
  constexpr int kUser = 3, kAnswer = 4;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const UniqueFd answer(ends[0]);
  UniqueFd theirs(ends[1]);
  Child starter = TRY(Fork({.fds = {-1, -1, -1, user_namespace, theirs.get()}}, [] {
    // Beforehand, since only root of the guest may spare a process from the OOM killer.
    (void)WriteFile("/proc/self/oom_score_adj", "-1000");
    if (::setns(kUser, CLONE_NEWUSER) != 0) ::_exit(errno);
    clone_args args{};
    args.flags = CLONE_NEWPID | CLONE_PARENT;
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid == 0) Pause();
    if (pid < 0) ::_exit(errno);
    ::_exit(::write(kAnswer, &pid, sizeof pid) == sizeof pid ? 0 : EIO);
  }));
  theirs.Reset();
  const ExitStatus status = TRY(starter.Wait());
  if (status.Shell() != 0) return FailWith(status.Shell(), "cannot make the pod's pid namespace");
  pid_t pid = -1;
  if (::read(answer.get(), &pid, sizeof pid) != sizeof pid) return FailErrno("the pod's pid namespace has no init");
  return Child(pid, TRY(OpenPidfd(pid)));
}

bool SameMappings(const google::protobuf::RepeatedPtrField<grpc::LinuxIDMapping>& one,
                  const google::protobuf::RepeatedPtrField<grpc::LinuxIDMapping>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const auto& a, const auto& b) {
    return a.containerid() == b.containerid() && a.hostid() == b.hostid() && a.size() == b.size();
  });
}

// Gives a namespace that is not the agent's a host name.
Result<> SetHostname(int uts, const std::string& hostname) {
  const auto own = TRY(Open("/proc/self/ns/uts", O_RDONLY));
  if (::setns(uts, CLONE_NEWUTS) < 0) return FailErrno("cannot enter the pod's uts namespace");
  Result<> set;
  if (::sethostname(hostname.data(), hostname.size()) < 0) set = FailErrno("cannot set the host name \"{}\"", hostname);
  if (::setns(own.get(), CLONE_NEWUTS) < 0) return FailErrno("cannot leave the pod's uts namespace again");
  return set;
}

}  // namespace

Result<SharedNamespaces> MakeSharedNamespaces(const std::string& hostname, bool with_pid) {
  SharedNamespaces shared;
  shared.hostname = hostname;
  shared.ipc = TRY(MakeNamespace(CLONE_NEWIPC, "ipc", hostname));
  shared.uts = TRY(MakeNamespace(CLONE_NEWUTS, "uts", hostname));
  if (with_pid) TRY(NeedPidNamespace(shared));
  return shared;
}

Result<> NeedPidNamespace(SharedNamespaces& shared) {
  if (shared.pid) return {};
  Child pause = TRY(shared.user ? StartPauseIn(shared.user.get()) : StartPause());
  shared.pid = TRY(Open(fmt::format("/proc/{}/ns/pid", pause.pid()), O_RDONLY));
  shared.pause = std::move(pause);
  return {};
}

Result<> NeedUserNamespace(SharedNamespaces& shared, const grpc::Linux& container) {
  if (shared.user) {
    if (SameMappings(shared.mappings.uidmappings(), container.uidmappings()) &&
        SameMappings(shared.mappings.gidmappings(), container.gidmappings())) {
      return {};
    }
    return Fail(
        Code::kInvalidArgument,
        "linux.uidMappings, linux.gidMappings: the pod's user namespace, which other containers have, has others");
  }
  if (shared.pid) {
    return Fail(Code::kFailedPrecondition,
                "linux.namespaces: the pod's pid namespace is older than its user namespace, which has to own it");
  }
  // What is made together with a user namespace is owned by it (clone(2)).
  const Child holder = TRY(Context(Fork({.flags = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS},
                                        [] {
                                          for (;;) ::pause();
                                        }),
                                   "cannot make the pod's user namespace"));
  TRY(WriteIdMaps(holder.pidfd(), "linux.", ToIdMap(container.uidmappings()), ToIdMap(container.gidmappings())));
  const auto open = [&](const char* name) { return Open(fmt::format("/proc/{}/ns/{}", holder.pid(), name), O_RDONLY); };
  UniqueFd user = TRY(open("user"));
  UniqueFd ipc = TRY(open("ipc"));
  UniqueFd uts = TRY(open("uts"));
  if (!shared.hostname.empty()) TRY(SetHostname(uts.get(), shared.hostname));
  shared.user = std::move(user);
  shared.ipc = std::move(ipc);
  shared.uts = std::move(uts);
  *shared.mappings.mutable_uidmappings() = container.uidmappings();
  *shared.mappings.mutable_gidmappings() = container.gidmappings();
  return {};
}

}  // namespace kata::agent
