// SPDX-License-Identifier: Apache-2.0
// Which cgroups of the host the processes of a sandbox are in: the sandbox's own, or, with sandbox_cgroup_only = false,
// only its vCPUs there and the rest in /kata_overhead/ID. All calls are for the host's mount namespace.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::sandbox {

// The sandbox's cgroup beside the one that the spec's linux.cgroupsPath names, which a manager thinks of as the
// container's: "/pod/ID" gives "/pod/kata_ID", as in Kata; with systemd's form it is the unit of that name.
// kInvalidArgument for a malformed path.
Result<std::string> SandboxCgroupPath(const std::string& spec_path, const std::string& id);

// Where this process is to go, and what is made for that.
struct CgroupStay {
  std::string process;                        // path of the cgroups for this process and all that it starts
  std::string vcpus;                          // path of those for the vCPUs alone; empty: they stay with the rest
  std::vector<std::string> vcpu_directories;  // the same, for PlaceVcpus
  std::vector<std::string> made;              // directories to remove at the end, parents first
  std::vector<std::string> own;               // the sandbox's cgroup in each hierarchy
  std::vector<std::string> leaves;            // all that are entered: own, and where the overhead is
};

// What the key sandbox_cgroup_only means for a sandbox whose cgroup has this path (SandboxCgroupPath, or the
// container's). Looks only. Errors: those of reading /proc.
Result<CgroupStay> PlanCgroupStay(const std::string& path, const std::string& id, bool sandbox_cgroup_only);

// Whether processes can run there. kFailedPrecondition where a cgroup is frozen: whoever entered it would stand still.
// One that already has processes is a warning. Both in runc's words.
Result<> CheckCgroupStay(const CgroupStay& stay);

// Makes the cgroups of a path and returns their directories. Where none may be made it is a warning.
Result<std::vector<std::string>> MakeCgroupsOf(const std::string& path);

// Moves the vCPUs of a VMM into cgroups: these threads of it, where a hierarchy can (version 1), else the whole VMM.
void PlaceVcpus(const std::vector<std::string>& leaves, const std::vector<pid_t>& vmm,
                const std::vector<pid_t>& threads);

// A stay of this process, which must leave in order to remove what was made.
class CgroupVisit {
 public:
  CgroupVisit() = default;
  // Makes the cgroups and enters them. What was made before an error is removed by End.
  Result<> Enter(CgroupStay stay);

  // Goes back to where it came from, and removes what was made. Everything else must have left.
  void End();

 private:
  std::vector<std::string> home_;
  std::vector<std::string> made_;
};

}  // namespace kata::sandbox
