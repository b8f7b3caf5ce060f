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

}  // namespace

Result<std::string> SandboxCgroupPath(const std::string& spec_path, const std::string& id) {
  const bool systemd = !spec_path.starts_with('/') && std::count(spec_path.begin(), spec_path.end(), ':') == 2;
  const std::string path = TRY(CgroupPath(spec_path, id, systemd));
  if (systemd) return path;
  const size_t name = path.rfind('/') + 1;
  return path.substr(0, name) + "kata_" + path.substr(name);
}

Result<CgroupStay> PlanCgroupStay(const std::string& path, const std::string& id, bool sandbox_cgroup_only) {
  CgroupStay stay{.process = path};
  CgroupPlan plan = TRY(PlanHostCgroups(path));
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

Result<std::vector<std::string>> MakeCgroupsOf(const std::string& path) {
  // Tried again if another sandbox has removed a parent in the meantime.
  constexpr int kTries = 3;
  for (int tries = kTries;; --tries) {
    const CgroupPlan plan = TRY(PlanHostCgroups(path));
    auto leaves = MakeCgroups(plan, ParseHierarchies(TRY(ReadFile("/proc/self/mountinfo"))));
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

Result<> CgroupVisit::Enter(CgroupStay stay) {
  made_ = std::move(stay.made);
  home_ = TRY(CgroupsOf(getpid()));
  TRY(EnterCgroups(TRY(MakeCgroupsOf(stay.process)), getpid()));
  if (!stay.vcpus.empty()) TRY(MakeCgroupsOf(stay.vcpus));
  return {};
}

void CgroupVisit::End() {
  if (made_.empty()) return;
  if (auto left = EnterCgroups(home_, getpid()); !left) log::Warn("{}", left.error().message());
  RemoveCgroups(std::exchange(made_, {}));
}

}  // namespace kata::sandbox
