// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/host_cgroups.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/host/freezer.h"

namespace kata::sandbox {
namespace {

constexpr char kOverhead[] = "/kata_overhead";

// The overhead's directories with their parent. Other sandboxes share the parent; the last one removes it.
std::vector<std::string> OverheadDirectories(const CgroupPlan& plan) {
  std::vector<std::string> directories;
  for (const std::string& leaf : plan.leaves) {
    directories.push_back(leaf.substr(0, leaf.rfind('/')));
    directories.push_back(leaf);
  }
  return directories;
}

// systemd makes and removes the slices where it keeps its units. In the other hierarchies of version 1 nobody else
// does.
Result<> LeaveSlicesToSystemd(CgroupPlan& plan) {
  const auto hierarchies = ParseHierarchies(TRY(ReadFile("/proc/self/mountinfo")));
  std::erase_if(plan.missing, [&](const std::string& directory) {
    const Hierarchy* hierarchy = HierarchyOf(directory, hierarchies);
    const bool systemds =
        hierarchy != nullptr && (hierarchy->unified || hierarchy->controllers.front() == "name=systemd");
    return systemds && std::find(plan.leaves.begin(), plan.leaves.end(), directory) == plan.leaves.end();
  });
  return {};
}

}  // namespace

Result<CgroupPlace> SandboxCgroupPlace(const std::string& spec_path, const std::string& id,
                                       std::optional<bool> systemd) {
  const bool unit = HasUnitForm(spec_path);
  if (systemd && *systemd != unit && !spec_path.empty()) {
    return Fail(Code::kInvalidArgument,
                "the runtime's options in containerd say SystemdCgroup = {}, but linux.cgroupsPath is \"{}\", {} of "
                "systemd's form \"slice:prefix:name\": containerd and who names the pod's cgroup (cgroupDriver of the "
                "kubelet) have to agree",
                *systemd, spec_path, unit ? "which is" : "not");
  }
  CgroupPlace place = TRY(PlaceOf(spec_path, id, systemd.value_or(unit)));
  if (!place.unit) place.path.insert(place.path.rfind('/') + 1, "kata_");
  return place;
}

Result<std::optional<Scope>> PlanScope(const CgroupPlace& place, const std::string& id,
                                       const std::map<std::string, std::string>& annotations, double timeout_factor) {
  if (!place.unit) return std::nullopt;
  if (!SystemdRuns()) {
    return Fail(Code::kFailedPrecondition, "systemd not running on this host, cannot use systemd cgroups manager");
  }
  return Scope{
      .unit = *place.unit, .id = id, .properties = TRY(PropertiesOf(annotations)), .timeout_factor = timeout_factor};
}

Result<CgroupStay> PlanCgroupStay(const CgroupPlace& place, const std::string& id, bool sandbox_cgroup_only) {
  CgroupStay stay{.process = place.path};
  CgroupPlan plan = TRY(PlanHostCgroups(place.path));
  if (place.unit) TRY(LeaveSlicesToSystemd(plan));
  stay.made = std::move(plan.missing);
  stay.own = stay.leaves = std::move(plan.leaves);
  if (sandbox_cgroup_only) return stay;
  stay.vcpu_directories = stay.own;
  stay.vcpus = std::exchange(stay.process, fmt::format("{}/{}", kOverhead, id));
  const CgroupPlan overhead = TRY(PlanHostCgroups(stay.process));
  stay.leaves.insert(stay.leaves.end(), overhead.leaves.begin(), overhead.leaves.end());
  for (std::string& directory : OverheadDirectories(overhead)) stay.made.push_back(std::move(directory));
  return stay;
}

std::vector<std::string> LimitedCgroups(const std::vector<std::string>& own, const std::vector<std::string>& made) {
  std::vector<std::string> limited;
  std::copy_if(own.begin(), own.end(), std::back_inserter(limited),
               [&](const std::string& each) { return std::find(made.begin(), made.end(), each) != made.end(); });
  return limited;
}

Result<> CheckCgroupStay(const CgroupStay& stay) {
  for (const std::string& leaf : stay.leaves) {
    const std::string frozen = FrozenAt(leaf);
    if (frozen.empty()) continue;
    const std::string where = frozen == leaf ? "" : fmt::format(": {} is", frozen);
    return Fail(Code::kFailedPrecondition, "container's cgroup unexpectedly frozen{}", where);
  }
  const size_t processes = CountProcesses(stay.own);
  if (processes > 0) log::Warn("container's cgroup is not empty: {} process(es) found", processes);
  return {};
}

Result<std::vector<std::string>> MakeCgroupsOf(const std::string& path, CgroupUse use) {
  // Tried again if another sandbox has removed a parent in the meantime.
  constexpr int kTries = 3;
  for (int tries = kTries;; --tries) {
    const CgroupPlan plan = TRY(PlanHostCgroups(path));
    auto leaves = MakeCgroups(plan, ParseHierarchies(TRY(ReadFile("/proc/self/mountinfo"))), use);
    if (leaves || leaves.error().sys() != ENOENT || tries == 1) return leaves;
  }
}

void PlaceVcpus(const std::vector<std::string>& leaves, const std::vector<pid_t>& vmm,
                const std::vector<pid_t>& threads) {
  if (threads.empty()) return;  // the VMM has just ended
  for (const std::string& leaf : leaves) {
    const std::string tasks = leaf + "/tasks";
    if (access(leaf.c_str(), F_OK) != 0) continue;  // it could not be made; a warning was logged
    if (access(tasks.c_str(), F_OK) != 0) {
      for (const pid_t pid : vmm) {
        if (auto moved = EnterCgroups({leaf}, pid); !moved) log::Warn("the VMM stays: {}", moved.error().message());
      }
      continue;
    }
    for (const pid_t thread : threads) {
      if (auto moved = WriteFile(tasks, std::to_string(thread)); !moved) {
        log::Warn("a vCPU stays: {}", moved.error().message());
      }
    }
  }
}

void EndCgroupStay(const std::string& unit, const std::vector<std::string>& made, const std::string& id) {
  if (!unit.empty()) {
    if (auto stopped = StopScope(unit, id); !stopped) log::Warn("{}", stopped.error().message());
  }
  RemoveCgroups(made);
}

Result<> CgroupVisit::Enter(CgroupStay stay, const std::string& id) {
  id_ = id;
  made_ = std::move(stay.made);
  home_ = TRY(CgroupsOf(getpid()));
  if (stay.scope) {
    holder_ = TRY(StartScope(*stay.scope));
    unit_ = stay.scope->unit.name;
  }
  TRY(EnterCgroups(TRY(MakeCgroupsOf(stay.process)), getpid()));
  if (!stay.vcpus.empty()) TRY(MakeCgroupsOf(stay.vcpus));
  if (stay.vcpus.empty()) holder_.reset();
  return {};
}

void CgroupVisit::Leave() {
  holder_.reset();
  if (home_.empty()) return;
  auto left = EnterCgroups(std::exchange(home_, {}), getpid());
  if (left) return;
  log::Warn("this process cannot return to its cgroups: {}", left.error().message());
  // Out of the sandbox's at least, which cannot be removed otherwise.
  const auto mountinfo = ReadFile("/proc/self/mountinfo");
  std::vector<std::string> roots;
  for (const Hierarchy& hierarchy : ParseHierarchies(mountinfo.value_or(""))) roots.push_back(hierarchy.mount_point);
  if (left = EnterCgroups(roots, getpid()); !left) log::Warn("{}", left.error().message());
}

void CgroupVisit::End() {
  Leave();
  EndCgroupStay(std::exchange(unit_, ""), std::exchange(made_, {}), id_);
}

}  // namespace kata::sandbox
