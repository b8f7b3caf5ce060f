// SPDX-License-Identifier: Apache-2.0
// The entry point of a fork of the agent that becomes a container process: the order of its steps.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/container/init.h"
#include "agent/container/sysctl.h"

namespace kata::agent {

namespace {

// For an exec: joins the container's namespaces, except the pid namespace, which the agent has chosen when it forked
// this process. The user namespace comes last, because the process has full rights over the others only before it.
Result<> JoinContainer(const Plan& plan) {
  for (const Role role : {kTimeNamespace, kIpcNamespace, kUtsNamespace, kNetNamespace, kCgroupNamespace,
                          kMountNamespace, kUserNamespace}) {
    if (plan.fd(role) >= 0 && setns(plan.fd(role), 0) != 0)
      return FailErrno("cannot join a namespace of the container");
  }
  return {};
}

Result<> BecomeRootOfUserNamespace(const Plan& plan) {
  const bool mapped = plan.exec ? plan.fd(kUserNamespace) >= 0 : HasNamespace(plan.spec, "user");
  if (!mapped) return {};
  if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) {
    return FailErrno("linux.uidMappings, linux.gidMappings: id 0 of the container is not mapped");
  }
  // A change of ids sets dumpable to suid_dumpable (prctl(2)), which need not be 0.
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return FailErrno("cannot become undumpable");
  return {};
}

Result<> RunExec(Plan plan) {
  TRY(JoinContainer(plan));
  TRY(BecomeRootOfUserNamespace(plan));
  if (setsid() < 0) return FailErrno("cannot start a session");
  return BecomeProcess(plan);
}

Result<> RunCreate(Plan plan) {
  StageContext context;
  context.plan = std::move(plan);
  TRY(PrepareContainer(context));
  TRY(JoinShared(context.plan));
  TRY(ApplySysctls(context.plan.spec.linux(), /*network=*/true));
  if (HasNamespace(context.plan.spec, "user")) TRY(EnterUserNamespace(context));
  TRY(BecomeRootOfUserNamespace(context.plan));
  if (setsid() < 0) return FailErrno("cannot start a session");
  TRY(MakeContainer(context));
  return BecomeProcess(context.plan);
}

}  // namespace

void RunStages(Plan plan) {
  // Processes of the container must not reach this process's memory or executable through /proc (CVE-2016-9962,
  // CVE-2019-5736). Stage 2 inherits the setting, and execve(2) resets it.
  Result<> result;
  if (prctl(PR_SET_DUMPABLE, 0) != 0) {
    result = FailErrno("cannot become undumpable");
  } else {
    result = plan.exec ? RunExec(std::move(plan)) : RunCreate(std::move(plan));
  }
  (void)SendPacket(kStatusFd, Say::kError, PackError(result.error()));
  _exit(1);
}

}  // namespace kata::agent
