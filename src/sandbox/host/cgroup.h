// SPDX-License-Identifier: Apache-2.0
// The container's cgroups on the host. They hold its sandbox and stand-in, so that engines see what it uses; no limit
// is set, since the guest enforces the limits and the VM is sized by them. A cgroup that was there before is another's:
// it is entered, but never changed, apart from a cpuset of version 1 without processors, which nobody can enter.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kata::sandbox {

// One mounted hierarchy of cgroups.
struct Hierarchy {
  std::string mount_point;
  std::string root;                      // the cgroup that is mounted there; not "/" inside a container
  std::vector<std::string> controllers;  // v1: "cpu", "cpuacct", "name=systemd"; v2: none
  bool unified = false;                  // v2
};

// From the text of /proc/PID/mountinfo. A hierarchy that is mounted twice counts once.
std::vector<Hierarchy> ParseHierarchies(std::string_view mountinfo);

// The one that a directory is in; nullptr: none.
const Hierarchy* HierarchyOf(const std::string& directory, const std::vector<Hierarchy>& hierarchies);

// From the text of /proc/PID/cgroup: controller (v2: "") to the path of the process's cgroup.
std::map<std::string, std::string> ParseOwnCgroups(std::string_view text);

// The path that linux.cgroupsPath means. Absolute ones are below the mount point, relative ones where runc has them
// (PlanCgroups); an empty one is the container's id. With systemd it has the form slice:prefix:name and gives the path
// where systemd would put that unit: "user-1.slice:libpod:x" is "/user.slice/user-1.slice/libpod-x.scope".
// kInvalidArgument for a malformed systemd path.
Result<std::string> CgroupPath(const std::string& spec_path, const std::string& id, bool systemd);

// What is to be done for one container.
struct CgroupPlan {
  std::vector<std::string> leaves;   // the container's cgroup in each hierarchy
  std::vector<std::string> missing;  // directories to make, parents first
};

// path as CgroupPath gave it; ".." stays beneath the mount point. A relative one is below the caller's own cgroup with
// version 1. With version 2 it is beside it: the caller's has processes, so that nothing below it can have controllers.
// Where version 2 is mounted beside version 1 it is below the mount point.
CgroupPlan PlanCgroups(const std::vector<Hierarchy>& hierarchies, const std::map<std::string, std::string>& own,
                       const std::string& path);
// The same for this host and this process.
Result<CgroupPlan> PlanHostCgroups(const std::string& path);

// Makes the missing directories and returns the leaves that exist then. A host where cgroups may not be made, such as a
// container with read-only ones, is not an error but one warning; whatever else fails is an error.
Result<std::vector<std::string>> MakeCgroups(const CgroupPlan& plan, const std::vector<Hierarchy>& hierarchies);

// The cgroup directories that a process is in, one for each hierarchy.
Result<std::vector<std::string>> CgroupsOf(pid_t pid);
Result<std::vector<std::string>> CgroupsOf(pid_t pid, const std::vector<Hierarchy>& hierarchies);

// Moves a process. A hierarchy that only tracks processes (a named one, or version 2 beside version 1) may refuse it.
Result<> EnterCgroups(const std::vector<std::string>& leaves, pid_t pid);

// How many processes are in these cgroups and below them.
size_t CountProcesses(const std::vector<std::string>& directories);

// The leaves among directories that were made, which come parents first.
std::vector<std::string> LeavesOf(const std::vector<std::string>& made);

// Removes directories that MakeCgroups made, children first. One with processes or cgroups of strangers stays.
void RemoveCgroups(const std::vector<std::string>& made);

}  // namespace kata::sandbox
