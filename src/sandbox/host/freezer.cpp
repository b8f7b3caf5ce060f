// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/freezer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/files.h"
#include "base/log.h"
#include "sandbox/host/cgroup.h"

namespace kata::sandbox {
namespace {

constexpr char kStandinName[] = "kata-standin";

// The files by which a version of cgroups reports that a cgroup itself is frozen, and thaws it.
struct Switch {
  const char* told_by;
  const char* file;
  const char* thaw;
};
constexpr Switch kSwitches[] = {{"freezer.self_freezing", "freezer.state", "THAWED"},
                                {"cgroup.freeze", "cgroup.freeze", "0"}};

// Returns the switch of a frozen cgroup; nullptr: it is not frozen.
const Switch* FrozenBy(const std::string& directory) {
  for (const Switch& one : kSwitches) {
    const auto told = ReadFile(fmt::format("{}/{}", directory, one.told_by), 64);
    if (told && told->starts_with('1')) return &one;
  }
  return nullptr;
}

// The cgroups of all threads: with cgroup v1, a VMM's vCPUs may be in other cgroups than its other threads
// (PlaceVcpus).
std::vector<std::string> CgroupsOfThreads(pid_t pid, const std::vector<Hierarchy>& hierarchies) {
  std::vector<std::string> cgroups;
  const auto directory = Open(fmt::format("/proc/{}/task", pid), O_RDONLY | O_DIRECTORY);
  if (!directory) return cgroups;
  for (const std::string& thread : ListDir(directory->get()).value_or(std::vector<std::string>())) {
    auto its = CgroupsOf(std::atoi(thread.c_str()), hierarchies);
    if (!its) continue;
    for (std::string& one : *its) {
      if (std::find(cgroups.begin(), cgroups.end(), one) == cgroups.end()) cgroups.push_back(std::move(one));
    }
  }
  return cgroups;
}

// Moves a process out of frozen cgroups, into this process's own cgroup of the same hierarchy.
void MoveOut(pid_t pid, const std::vector<Hierarchy>& hierarchies, const std::vector<std::string>& own) {
  for (const std::string& cgroup : CgroupsOfThreads(pid, hierarchies)) {
    if (FrozenAt(cgroup).empty()) continue;
    const Hierarchy* hierarchy = HierarchyOf(cgroup, hierarchies);
    const auto home = std::find_if(own.begin(), own.end(),
                                   [&](const std::string& one) { return HierarchyOf(one, hierarchies) == hierarchy; });
    if (home == own.end()) continue;
    const auto moved = WriteFile(*home + "/cgroup.procs", fmt::format("{}", pid));
    if (!moved) log::Warn("process {} stays in a frozen cgroup: {}", pid, moved.error().message());
  }
}

// The stand-ins in a cgroup. Other processes there are not this runtime's and must not be moved.
std::vector<pid_t> StandinsIn(const std::string& cgroup) {
  std::vector<pid_t> standins;
  std::istringstream pids(ReadFile(cgroup + "/cgroup.procs").value_or(""));
  for (pid_t pid = 0; pids >> pid;) {
    const auto name = ReadFile(fmt::format("/proc/{}/comm", pid), 64);
    if (name && name->starts_with(kStandinName)) standins.push_back(pid);
  }
  return standins;
}

}  // namespace

std::string FrozenAt(const std::string& directory) {
  for (std::string at = directory; !at.empty(); at = at.substr(0, at.rfind('/'))) {
    if (FrozenBy(at) != nullptr) return at;
    // The end of the hierarchy: above the mount point there are no cgroups.
    if (access(at.c_str(), F_OK) == 0 && access((at + "/cgroup.procs").c_str(), F_OK) != 0) break;
  }
  return "";
}

std::string FrozenAround(pid_t pid) {
  if (pid <= 0) return "";
  const auto cgroups = CgroupsOf(pid);
  if (!cgroups) return "";
  for (const std::string& directory : *cgroups) {
    if (std::string frozen = FrozenAt(directory); !frozen.empty()) return frozen;
  }
  return "";
}

void Thaw(const std::vector<std::string>& cgroups) {
  for (const std::string& cgroup : cgroups) {
    const Switch* frozen = FrozenBy(cgroup);
    if (frozen == nullptr) continue;
    const auto thawed = WriteFile(fmt::format("{}/{}", cgroup, frozen->file), frozen->thaw);
    if (!thawed) log::Warn("cannot thaw a cgroup: {}", thawed.error().message());
  }
}

void Unfreeze(const State& state) {
  const std::vector<std::string> leaves = LeavesOf(state.cgroup_paths);
  Thaw(leaves);
  const auto mountinfo = ReadFile("/proc/self/mountinfo");
  const auto own = CgroupsOf(getpid());
  if (!mountinfo || !own) return;
  const std::vector<Hierarchy> hierarchies = ParseHierarchies(*mountinfo);
  for (const ProcessRef& process : ProcessesOf(state)) {
    if (IsThere(process)) MoveOut(process.pid, hierarchies, *own);
  }
  for (const std::string& leaf : leaves) {
    for (const pid_t standin : StandinsIn(leaf)) MoveOut(standin, hierarchies, *own);
  }
}

}  // namespace kata::sandbox
