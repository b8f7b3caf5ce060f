// SPDX-License-Identifier: Apache-2.0
// The cgroups of the host for the processes of a sandbox: all of them in the sandbox's own, or, with
// sandbox_cgroup_only = false, only the vCPUs there and the rest in /kata_overhead/ID. All functions are for the host's
// mount namespace.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::sandbox {

// The path of the sandbox's cgroup. It is beside the one that linux.cgroupsPath names, which a manager takes for the
// container's: "/pod/ID" gives "/pod/kata_ID", as in Kata. In systemd's form it is the named unit itself.
// kInvalidArgument: a malformed path.
Result<std::string> SandboxCgroupPath(const std::string& spec_path, const std::string& id);

// The cgroups that this process is to enter, and what is made for that.
struct CgroupStay {
  std::string process;                        // path of the cgroups for this process and all that it starts
  std::string vcpus;                          // path of those for the vCPUs alone; empty: the vCPUs stay with the rest
  std::vector<std::string> vcpu_directories;  // the directories of these, for PlaceVcpus
  std::vector<std::string> made;              // directories to remove at the end, parents first
  std::vector<std::string> own;               // the sandbox's cgroup in each hierarchy
  std::vector<std::string> leaves;            // all directories that are entered: own, and the overhead's
};

// Plans the stay of a sandbox whose cgroup has this path (from SandboxCgroupPath, or the container's). Changes nothing.
// Errors: those of reading /proc.
Result<CgroupStay> PlanCgroupStay(const std::string& path, const std::string& id, bool sandbox_cgroup_only);

// Checks that processes can run in these cgroups. kFailedPrecondition: one is frozen, and a process that enters it
// would not run. Logs a warning if `own` has processes already. Both messages are runc's.
Result<> CheckCgroupStay(const CgroupStay& stay);

// Makes the cgroups of a path and returns their leaf directories. Where cgroups may not be made, there is only a
// warning.
Result<std::vector<std::string>> MakeCgroupsOf(const std::string& path);

// Moves the vCPUs of a VMM into cgroups: only these threads where a hierarchy can do that (v1), otherwise the whole
// VMM. Errors are logged.
void PlaceVcpus(const std::vector<std::string>& leaves, const std::vector<pid_t>& vmm,
                const std::vector<pid_t>& threads);

// This process's stay in a sandbox's cgroups, which it must leave before it can remove them.
class CgroupVisit {
 public:
  CgroupVisit() = default;
  // Makes the cgroups and enters them. After an error, End removes what was made.
  Result<> Enter(CgroupStay stay);

  // Returns to the cgroups from which the process came, and removes what was made. All other processes must have left.
  void End();

 private:
  std::vector<std::string> home_;
  std::vector<std::string> made_;
};

}  // namespace kata::sandbox
