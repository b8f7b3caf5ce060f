// SPDX-License-Identifier: Apache-2.0
// The cgroups of the host for the processes of a sandbox: all of them in the sandbox's own, or, with
// sandbox_cgroup_only = false, only the vCPUs there and the rest in /kata_overhead/ID. All functions are for the host's
// mount namespace.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/systemd/scope.h"

namespace kata::sandbox {

// The place of the sandbox's cgroup. It is beside the one that linux.cgroupsPath names, which a manager takes for the
// container's: "/pod/ID" gives "/pod/kata_ID", as in Kata. In systemd's form it is the named unit itself.
// systemd: whether the caller expects that form; if it does, an empty path means a unit, too. kInvalidArgument: a
// malformed path, or one that is not of the form that the caller expects.
Result<CgroupPlace> SandboxCgroupPlace(const std::string& spec_path, const std::string& id,
                                       std::optional<bool> systemd);

// The cgroups that this process is to enter, and what is made for that.
struct CgroupStay {
  std::optional<Scope> scope;                 // of PlanScope: systemd is asked for it before anything is entered
  std::string process;                        // path of the cgroups for this process and all that it starts
  std::string vcpus;                          // path of those for the vCPUs alone; empty: the vCPUs stay with the rest
  std::vector<std::string> vcpu_directories;  // the directories of these, for PlaceVcpus
  std::vector<std::string> made;              // directories to remove at the end, parents first
  std::vector<std::string> own;               // the sandbox's cgroup in each hierarchy
  std::vector<std::string> leaves;            // all directories that are entered: own, and the overhead's
};

// Plans the stay of a sandbox whose cgroup is at this place (from SandboxCgroupPlace, or the container's). Changes
// nothing. Errors: those of reading /proc.
Result<CgroupStay> PlanCgroupStay(const CgroupPlace& place, const std::string& id, bool sandbox_cgroup_only);

// The scope for a place that is a unit's; nothing for another place. annotations: the bundle's, which may ask for
// properties. kFailedPrecondition: systemd does not run on this host. Other errors: PropertiesOf's.
Result<std::optional<Scope>> PlanScope(const CgroupPlace& place, const std::string& id,
                                       const std::map<std::string, std::string>& annotations, double timeout_factor);

// Those of the sandbox's own cgroups that were made for it, so that they may get limits. own, made: CgroupStay's.
std::vector<std::string> LimitedCgroups(const std::vector<std::string>& own, const std::vector<std::string>& made);

// Checks that processes can run in these cgroups. kFailedPrecondition: one is frozen, and a process that enters it
// would not run. Logs a warning if `own` has processes already. Both messages are runc's.
Result<> CheckCgroupStay(const CgroupStay& stay);

// Makes the cgroups of a path and returns their leaf directories. Where cgroups may not be made, there is at most a
// warning (MakeCgroups).
Result<std::vector<std::string>> MakeCgroupsOf(const std::string& path, CgroupUse use = CgroupUse::kRequired);

// Takes back what a stay has made: stops its scope, if it has one, and removes the directories. All processes must have
// left. Errors are logged.
void EndCgroupStay(const std::string& unit, const std::vector<std::string>& made, const std::string& id);

// Moves the vCPUs of a VMM into cgroups: only these threads where a hierarchy can do that (v1), otherwise the whole
// VMM. Errors are logged.
void PlaceVcpus(const std::vector<std::string>& leaves, const std::vector<pid_t>& vmm,
                const std::vector<pid_t>& threads);

// This process's stay in a sandbox's cgroups, which it must leave before it can remove them.
class CgroupVisit {
 public:
  CgroupVisit() = default;
  // Makes the cgroups and enters them. After an error, End removes what was made.
  Result<> Enter(CgroupStay stay, const std::string& id);

  // Returns to the cgroups from which the process came.
  void Leave();

  // Leaves, and removes what was made. All other processes must have left.
  void End();

 private:
  std::string id_;
  std::string unit_;
  std::optional<ScopeHolder> holder_;  // kept while the scope may have no other process
  std::vector<std::string> home_;
  std::vector<std::string> made_;
};

}  // namespace kata::sandbox
