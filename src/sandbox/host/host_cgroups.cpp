// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/host_cgroups.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "sandbox/host/cgroup.h"

namespace kata::sandbox {
namespace {

constexpr char kOverhead[] = "/kata_overhead";
// QEMU's name for the threads that are vCPUs, with debug-threads=on: "CPU 0/KVM", "CPU 1/TCG".
constexpr std::string_view kVcpuThread = "CPU ";

// Directories that this sandbox shares with others too, so that the last one takes them away.
std::vector<std::string> OverheadDirectories(const CgroupPlan& plan) {
  std::vector<std::string> directories;
  for (const std::string& leaf : plan.leaves) {
    directories.push_back(leaf.substr(0, leaf.rfind('/')));
    directories.push_back(leaf);
  }
  return directories;
}

std::vector<std::string> VcpuThreads(pid_t vmm) {
  const std::string tasks = fmt::format("/proc/{}/task", vmm);
  std::vector<std::string> threads;
  const auto directory = Open(tasks, O_RDONLY | O_DIRECTORY);
  if (!directory) return threads;
  for (const std::string& thread : ListDir(directory->get()).value_or(std::vector<std::string>())) {
    const auto name = ReadFile(fmt::format("{}/{}/comm", tasks, thread), 64);
    if (name && name->starts_with(kVcpuThread)) threads.push_back(thread);
  }
  return threads;
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
  if (sandbox_cgroup_only) return stay;
  stay.vcpu_directories = std::move(plan.leaves);
  stay.vcpus = std::exchange(stay.process, fmt::format("{}/{}", kOverhead, id));
  for (std::string& directory : OverheadDirectories(TRY(PlanHostCgroups(stay.process)))) {
    stay.made.push_back(std::move(directory));
  }
  return stay;
}

std::vector<std::string> MakeCgroupsOf(const std::string& path) {
  // Twice: another sandbox may just be taking away a parent that was there.
  for (const bool again : {true, false}) {
    auto plan = PlanHostCgroups(path);
    if (!plan) {
      log::Warn("the sandbox has no cgroup of its own on the host: {}", plan.error().message());
      break;
    }
    std::vector<std::string> leaves = MakeHostCgroups(*plan);
    if (leaves.size() == plan->leaves.size() || !again) return leaves;
  }
  return {};
}

void PlaceVcpus(const std::vector<std::string>& leaves, const std::vector<pid_t>& vmm) {
  for (const pid_t pid : vmm) {
    const std::vector<std::string> threads = VcpuThreads(pid);
    if (threads.empty()) continue;  // it is not the VMM, or has just ended
    for (const std::string& leaf : leaves) {
      const std::string tasks = leaf + "/tasks";
      if (access(leaf.c_str(), F_OK) != 0) continue;  // it could not be made, as a warning has said
      if (access(tasks.c_str(), F_OK) != 0) {
        EnterCgroups({leaf}, pid);
        continue;
      }
      for (const std::string& thread : threads) {
        if (auto moved = WriteFile(tasks, thread); !moved) log::Warn("a vCPU stays: {}", moved.error().message());
      }
    }
  }
}

CgroupVisit CgroupVisit::Enter(CgroupStay stay) {
  CgroupVisit visit;
  visit.made_ = std::move(stay.made);
  if (auto home = CgroupsOf(getpid())) visit.home_ = *std::move(home);
  EnterCgroups(MakeCgroupsOf(stay.process), getpid());
  if (!stay.vcpus.empty()) MakeCgroupsOf(stay.vcpus);
  return visit;
}

void CgroupVisit::End() {
  if (made_.empty()) return;
  EnterCgroups(home_, getpid());
  RemoveCgroups(std::exchange(made_, {}));
}

}  // namespace kata::sandbox
