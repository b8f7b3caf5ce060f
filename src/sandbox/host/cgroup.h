// SPDX-License-Identifier: Apache-2.0
// The container's cgroups on the host. The sandbox and its stand-ins are in them, so that engines see what the
// container uses. What limits they get is host_limits.h's. A cgroup that
// exists already belongs to somebody else: it is entered, but never changed. The exception is a cpuset of cgroup v1
// without processors, which no process can enter.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/systemd/unit.h"

namespace kata::sandbox {

// One mounted cgroup hierarchy (cgroups(7)).
struct Hierarchy {
  std::string mount_point;
  std::string root;                      // the cgroup that is mounted there; not "/" inside a container
  std::vector<std::string> controllers;  // v1: "cpu", "cpuacct", "name=systemd"; v2: none
  bool unified = false;                  // v2
};

// Parses the text of /proc/PID/mountinfo (proc(5)). A hierarchy that is mounted twice counts once.
std::vector<Hierarchy> ParseHierarchies(std::string_view mountinfo);

// Whether the host has cgroup version 2 alone: /sys/fs/cgroup is a cgroup2 file system. To be called in the host's
// mount namespace: the sandbox's has no such directory.
bool HostIsUnified();

// The hierarchy that a directory is in, as a pointer into `hierarchies`; nullptr: none.
const Hierarchy* HierarchyOf(const std::string& directory, const std::vector<Hierarchy>& hierarchies);

// Parses the text of /proc/PID/cgroup: from the controller ("" for v2) to the path of the process's cgroup.
std::map<std::string, std::string> ParseOwnCgroups(std::string_view text);

// Where a container's cgroup is.
struct CgroupPlace {
  std::string path;
  std::optional<Unit> unit;  // set: systemd makes it, as the cgroup of this scope
};

// The place that linux.cgroupsPath means (runtime-spec, "Control groups"). An absolute path is below the mount point.
// A relative one is where runc has it (PlanCgroups). An empty one means the container's id. With systemd the path has
// the form slice:prefix:name: "user-1.slice:libpod:x" is "/user.slice/user-1.slice/libpod-x.scope". Errors:
// ParseUnit's.
Result<CgroupPlace> PlaceOf(const std::string& spec_path, const std::string& id, bool systemd);

// The cgroup directories of one container.
struct CgroupPlan {
  std::vector<std::string> leaves;   // the container's cgroup in each hierarchy
  std::vector<std::string> missing;  // directories to make, parents first
};

// Plans the cgroups for a path from PlaceOf. ".." does not lead above the mount point. With v1 a relative path is
// below the caller's own cgroup. With v2 it is beside it: the caller's cgroup has processes, so that nothing below it
// can have controllers. Where v2 is mounted beside v1, a relative path in v2 is below the mount point.
CgroupPlan PlanCgroups(const std::vector<Hierarchy>& hierarchies, const std::map<std::string, std::string>& own,
                       const std::string& path);
// PlanCgroups for this host and this process. Errors: those of reading /proc.
Result<CgroupPlan> PlanHostCgroups(const std::string& path);

// What follows when the host refuses a cgroup.
enum class CgroupUse {
  kRequired,   // an error, or a warning where none can be made at all
  kIfAllowed,  // the processes stay where they are: a user without privileges has mostly no cgroups
};

// Makes the missing directories and returns the leaves that exist afterwards. Where cgroups may not be made (read-only,
// or no permission), there is no error, and with kRequired one warning. Any other failure is an error.
Result<std::vector<std::string>> MakeCgroups(const CgroupPlan& plan, const std::vector<Hierarchy>& hierarchies,
                                             CgroupUse use = CgroupUse::kRequired);

// The cgroup directories that a process is in, one for each hierarchy.
Result<std::vector<std::string>> CgroupsOf(pid_t pid);
Result<std::vector<std::string>> CgroupsOf(pid_t pid, const std::vector<Hierarchy>& hierarchies);

// Moves a process into cgroups. A refusal is ignored with kIfAllowed, and in a hierarchy that only tracks processes: a
// named one, or v2 beside v1.
Result<> EnterCgroups(const std::vector<std::string>& leaves, pid_t pid, CgroupUse use = CgroupUse::kRequired);

// The number of processes in these cgroups and below them.
size_t CountProcesses(const std::vector<std::string>& directories);

// Those of the directories that have none of the others below them.
std::vector<std::string> LeavesOf(const std::vector<std::string>& made);

// Removes directories that MakeCgroups made, given parents first, children first. Blocks for some seconds while a last
// process exits. A cgroup with other processes or cgroups in it stays, which is logged.
void RemoveCgroups(const std::vector<std::string>& made);

}  // namespace kata::sandbox
