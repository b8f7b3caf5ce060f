// SPDX-License-Identifier: Apache-2.0
// The first half of stage 2 (init.h), for create only: hostname, mounts, devices, masked paths, and the new root.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/container/base_root.h"
#include "agent/container/devices.h"
#include "agent/container/init.h"
#include "agent/container/masks.h"
#include "agent/container/mount_api.h"
#include "agent/container/sysctl.h"
#include "agent/container/terminal.h"
#include "base/files.h"

namespace kata::agent {

namespace {

Result<> SetNames(const grpc::Spec& spec) {
  if (spec.hostname().empty() && spec.domainname().empty()) return {};
  if (!HasNamespace(spec, "uts")) {
    return Fail(Code::kInvalidArgument, "hostname, domainname: the container has no uts namespace of its own");
  }
  if (!spec.hostname().empty() && sethostname(spec.hostname().data(), spec.hostname().size()) != 0) {
    return FailErrno("hostname: cannot set \"{}\"", spec.hostname());
  }
  if (!spec.domainname().empty() && setdomainname(spec.domainname().data(), spec.domainname().size()) != 0) {
    return FailErrno("domainname: cannot set \"{}\"", spec.domainname());
  }
  return {};
}

// Makes the pty before the root is complete, because the slave is bind-mounted on /dev/console. Sends the master to the
// agent.
Result<> MakeConsole(const StageContext& context, int root) {
  const Plan& plan = context.plan;
  if (!plan.terminal) return {};
  const auto& process = plan.spec.process();
  const Terminal terminal = TRY(OpenTerminal(root, process.user().uid(), plan.rows, plan.columns));
  TRY(BindConsole(root, terminal.slave.get()));
  TRY(TakeTerminal(terminal.slave.get()));
  return SendPacket(kStatusFd, Say::kTerminal, {}, terminal.master.get());
}

Result<> SetRootPropagation(const std::string& word, int root) {
  if (word.empty()) return {};
  const auto propagation = ParsePropagation(word);
  if (!propagation) return Fail(Code::kInvalidArgument, "linux.rootfsPropagation: \"{}\" is unknown", word);
  return Context(SetMountAttributes(root, propagation->recursive, 0, 0, propagation->type), "linux.rootfsPropagation");
}

}  // namespace

Result<> MakeContainer(StageContext& context) {
  const grpc::Spec& spec = context.plan.spec;
  if (MakesNamespace(context.plan, "cgroup", kCgroupNamespace) && unshare(CLONE_NEWCGROUP) != 0) {
    return FailErrno("linux.namespaces: cannot make a cgroup namespace");
  }
  TRY(SetNames(spec));
  umask(0022);
  {
    const UniqueFd place = TRY(Open(kContainerRoot, O_PATH | O_DIRECTORY));
    TRY(Context(AttachMount(context.rootfs.get(), place.get()), "root.path"));
  }
  const int root = context.rootfs.get();
  TRY(MakeMounts(spec, context.mounts, root));
  TRY(MakeDevices(spec, root));
  TRY(MakeConsole(context, root));
  TRY(Context(MakeDirsInRoot(root, spec.process().cwd(), 0755), "process.cwd: cannot make {}", spec.process().cwd()));
  TRY(FinishMounts(spec, context.mounts));
  context.mounts.clear();
  TRY(ApplySysctls(spec.linux(), /*network=*/false));
  TRY(MakePathsReadonly(spec.linux(), root));
  TRY(MaskPaths(spec.linux(), root));
  TRY(PivotInto(root));
  TRY(SetRootPropagation(spec.linux().rootfspropagation(), root));
  if (spec.root().readonly())
    TRY(Context(SetMountAttributes(root, /*recursive=*/false, MOUNT_ATTR_RDONLY, 0), "root.readonly"));
  context.rootfs.Reset();
  return {};
}

}  // namespace kata::agent
