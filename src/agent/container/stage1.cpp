// SPDX-License-Identifier: Apache-2.0
// Stage 1 (init.h): leaves the guest's mounts, joins shared namespaces, and clones stage 2.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "agent/container/base_root.h"
#include "agent/container/id_mapping.h"
#include "agent/container/init.h"
#include "agent/container/mount_api.h"
#include "base/files.h"

namespace kata::agent {

namespace {

struct Kind {
  const char* type;
  Role joined;
  uint64_t flag;
};

// Mount namespaces are missing, because LeaveMountNamespace makes them; cgroup namespaces, because they must be made
// when the process is in its cgroup; and network namespaces, because containers use the guest's, which is the pod's.
constexpr Kind kNew[] = {{"pid", kPidNamespace, CLONE_NEWPID},
                         {"ipc", kIpcNamespace, CLONE_NEWIPC},
                         {"uts", kUtsNamespace, CLONE_NEWUTS},
                         {"time", kTimeNamespace, CLONE_NEWTIME},
                         {"user", kUserNamespace, CLONE_NEWUSER}};

// An ioctl of our guest kernel (0022-*) for a network namespace: a descriptor of the user namespace that is to own it.
constexpr unsigned long kSetUserNamespace = _IO(0xb7, 0x60);

// Gives the network of the guest to the container's user namespace, whose root then has the rights that it has on other
// hosts. Other kernels cannot (ENOTTY); there it has none.
Result<> GiveNetwork(int user_namespace) {
  const UniqueFd network = TRY(Open("/proc/self/ns/net", O_RDONLY));
  if (ioctl(network.get(), kSetUserNamespace, user_namespace) != 0 && errno != ENOTTY) {
    return FailErrno("cannot give the network to the user namespace");
  }
  return {};
}

}  // namespace

bool HasNamespace(const grpc::Spec& spec, const std::string& type) {
  const auto& all = spec.linux().namespaces();
  return std::any_of(all.begin(), all.end(), [&type](const auto& one) { return one.type() == type; });
}

bool MakesNamespace(const Plan& plan, const std::string& type, Role joined) {
  return HasNamespace(plan.spec, type) && plan.fd(joined) < 0;
}

uint64_t NewNamespaces(const Plan& plan) {
  uint64_t flags = 0;
  for (const Kind& kind : kNew) {
    if (MakesNamespace(plan, kind.type, kind.joined)) flags |= kind.flag;
  }
  return flags;
}

// The pid namespace is not in the list: the agent has forked this process into it.
Result<> JoinShared(const Plan& plan) {
  for (const Role role : {kTimeNamespace, kIpcNamespace, kUtsNamespace, kNetNamespace}) {
    if (plan.fd(role) >= 0 && setns(plan.fd(role), 0) != 0) return FailErrno("linux.namespaces: cannot join one");
  }
  return {};
}

Result<> PrepareContainer(StageContext& context) {
  const grpc::Spec& spec = context.plan.spec;
  // A path and not the descriptor, which belongs to a mount of the old mount namespace: open_tree(2) only clones mounts
  // of the caller's own.
  const std::string cgroup = TRY(Context(PathOfFd(context.plan.fd(kCgroup)), "the container's cgroup"));
  const bool own_cgroup = MakesNamespace(context.plan, "cgroup", kCgroupNamespace);
  TRY(LeaveMountNamespace());
  const UniqueFd root = TRY(Context(Open(spec.root().path(), O_PATH | O_DIRECTORY | O_NOFOLLOW), "root.path"));
  context.rootfs = TRY(Context(CloneMount(root.get(), "", /*recursive=*/true), "root.path: {}", spec.root().path()));
  context.mounts = TRY(PrepareMounts(spec, cgroup, own_cgroup));
  return EnterBase();
}

Result<> EnterUserNamespace(StageContext& context) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const UniqueFd mapped_read(ends[0]);
  UniqueFd mapped_write(ends[1]);

  const bool owned = MakesNamespace(context.plan, "user", kUserNamespace);
  if (!owned) {
    const int pods = context.plan.fd(kUserNamespace);
    TRY(GiveNetwork(pods));
    if (setns(pods, CLONE_NEWUSER) != 0) return FailErrno("linux.namespaces: cannot join the user namespace");
  }
  int pidfd = -1;
  clone_args args{};
  // CLONE_NEWNS, so that the mount namespace belongs to the new user namespace, whose root may mount then.
  args.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_NEWNS | NewNamespaces(context.plan);
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.cgroup = static_cast<uint64_t>(context.plan.fd(kCgroup));
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) {
    // ENOMEM means that the init of the pid namespace has exited (pid_namespaces(7)).
    return FailErrno("linux.namespaces: cannot make the container's process (clone3, flags {:#x})", args.flags);
  }
  if (pid == 0) {
    char byte = 0;
    // End of file: stage 1 has failed and has reported its error.
    mapped_write.Reset();
    if (read(mapped_read.get(), &byte, 1) != 1) _exit(1);
    return {};
  }

  const UniqueFd process(pidfd);
  if (owned) {
    const grpc::Linux& linux = context.plan.spec.linux();
    TRY(WriteIdMaps(process.get(), "linux.", ToIdMap(linux.uidmappings()), ToIdMap(linux.gidmappings())));
    const UniqueFd made = TRY(Open(fmt::format("/proc/{}/ns/user", TRY(PidInProc(process.get()))), O_RDONLY));
    TRY(GiveNetwork(made.get()));
  }
  TRY(SendPacket(kStatusFd, Say::kStarted, {}, process.get()));
  if (write(mapped_write.get(), "1", 1) != 1) return FailErrno("cannot release stage 2");
  _exit(0);
}

}  // namespace kata::agent
