// SPDX-License-Identifier: Apache-2.0
#include "fsd/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <utility>

#include "base/child.h"
#include "base/files.h"

namespace kata::fsd {

namespace {

constexpr uint64_t Capability(unsigned number) { return uint64_t{1} << number; }

// To act on files of every owner, and to make them, with the owner that the guest says. Neither SYS_ADMIN nor anything
// else that reaches farther than the files that the process can name; it can name those below its root.
constexpr uint64_t kNeeded = Capability(CAP_CHOWN) | Capability(CAP_DAC_OVERRIDE) | Capability(CAP_DAC_READ_SEARCH) |
                             Capability(CAP_FOWNER) | Capability(CAP_FSETID) | Capability(CAP_MKNOD) |
                             Capability(CAP_SETFCAP) | Capability(CAP_SETUID) | Capability(CAP_SETGID);

// Leaves no capability but these of those that the process has.
Result<> KeepCapabilities(uint64_t kept) {
  // What an exec could give back. Without CAP_SETPCAP it stays, but no exec will be allowed.
  for (unsigned capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return FailErrno("cannot read the capabilities");
  for (unsigned half = 0; half < 2; ++half) {
    data[half].permitted &= static_cast<uint32_t>(kept >> (32 * half));
    data[half].effective = data[half].permitted;
    data[half].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0) return FailErrno("cannot give up capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("cannot set no_new_privs");
  return {};
}

[[noreturn]] void Die(const Error& error) {
  (void)fprintf(stderr, "kata-fsd: cannot serve in namespaces of its own: %s\n", error.message().c_str());
  _exit(1);
}

// This process's directory in a procfs that shows this pid namespace only, and is mounted nowhere.
Result<UniqueFd> OpenProcSelf() {
  const UniqueFd context(fsopen("proc", FSOPEN_CLOEXEC));
  if (!context) return FailErrno("cannot make a procfs");
  // Nothing but processes, on kernels that can (5.8).
  (void)fsconfig(context.get(), FSCONFIG_SET_STRING, "subset", "pid", 0);
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return FailErrno("cannot make a procfs");
  const UniqueFd mount(
      fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!mount) return FailErrno("cannot mount a procfs");
  UniqueFd directory(openat(mount.get(), "self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return FailErrno("cannot open this process in procfs");
  return directory;
}

}  // namespace

void RunInNamespaces(int kept, const std::function<int(UniqueFd kept)>& body) {
  ForkOptions options;
  auto self = OpenPidfd(getpid());
  if (!self) Die(self.error());
  options.fds = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, kept, self->get()};
  options.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  auto child = Fork(options, [&] {
    UniqueFd listener(3);
    const UniqueFd parent(4);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return;
    // It may have died before this. Its pid says nothing here: from another pid namespace it is 0 in any case.
    pollfd ended = {parent.get(), POLLIN, 0};
    if (poll(&ended, 1, 0) != 0) return;
    _exit(body(std::move(listener)));
  });
  if (!child) Die(child.error());
  close(kept);
  if (const auto dropped = KeepCapabilities(0); !dropped) Die(dropped.error());
  auto status = child->Wait();
  if (!status) Die(status.error());
  if (status->signal != 0) (void)fprintf(stderr, "kata-fsd: the serving process %s\n", status->Describe().c_str());
  _exit(status->Shell());
}

Result<View> EnterRoot(const std::string& directory) {
  View view;
  view.proc_self = TRY(OpenProcSelf());
  // Mounts of others arrive, and none of this process's gets out.
  if (mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return FailErrno("cannot make the mounts slaves");
  const char* path = directory.c_str();
  // Only a mount can become the root. It has the same masters as the original, so that later mounts arrive in it, too.
  if (mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0) return FailErrno("cannot mount {}", directory);
  const UniqueFd old_root = TRY(Open("/", O_PATH | O_DIRECTORY));
  view.root = TRY(Open(directory, O_PATH | O_DIRECTORY));
  // The old root lands on the new one, since both are ".", and is detached from there: pivot_root(2), "Notes".
  if (fchdir(view.root.get()) != 0 || syscall(SYS_pivot_root, ".", ".") != 0) {
    return FailErrno("cannot make {} the root", directory);
  }
  if (fchdir(old_root.get()) != 0 || umount2(".", MNT_DETACH) != 0 || fchdir(view.root.get()) != 0) {
    return FailErrno("cannot leave the old root");
  }
  return view;
}

Result<> DropCapabilities() {
  (void)setgroups(0, nullptr);
  return KeepCapabilities(kNeeded);
}

}  // namespace kata::fsd
