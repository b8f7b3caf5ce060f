// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/cgroup.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

// How often a cgroup is tried again whose last process (an exec's stand-in, say) is still on its way out, and the pause
// between, in milliseconds: five seconds on a host that is busy.
constexpr int kRemoveTries = 1000;
constexpr int kRemovePause = 5;

std::string Parent(const std::string& directory) { return directory.substr(0, directory.rfind('/')); }

// A new cpuset of v1 has no processors and takes no process; it gets its parent's.
void FillCpuset(const std::string& directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const std::string path = fmt::format("{}/{}", directory, file);
    const auto present = ReadFile(path);
    if (!present || present->find_first_not_of("\n ") != std::string::npos) continue;
    const auto above = ReadFile(fmt::format("{}/{}", Parent(directory), file));
    if (!above) continue;
    if (auto written = WriteFile(path, *above); !written) log::Debug("{}", written.error().message());
  }
}

// Lets a cgroup of v2 have controllers, or engines find no memory.current in it. A parent with processes of its own
// refuses, and some controllers may be another's: each is tried alone.
void PassControllersOn(const std::string& parent) {
  const auto available = ReadFile(parent + "/cgroup.controllers");
  if (!available) return;
  std::string_view rest = *available;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of(" \n"), rest.size());
    if (end > 0) (void)WriteFile(parent + "/cgroup.subtree_control", fmt::format("+{}", rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

bool HasChildren(const std::string& directory) {
  struct stat info {};
  // A directory has a link for itself, one from its parent, and one from each child.
  return stat(directory.c_str(), &info) == 0 && info.st_nlink > 2;
}

}  // namespace

Result<CgroupPlan> PlanHostCgroups(const std::string& path) {
  const std::string mountinfo = TRY(ReadFile("/proc/self/mountinfo"));
  const std::string own = TRY(ReadFile("/proc/self/cgroup"));
  return PlanCgroups(ParseHierarchies(mountinfo), ParseOwnCgroups(own), path);
}

std::vector<std::string> MakeCgroups(const CgroupPlan& plan, const std::vector<Hierarchy>& hierarchies) {
  std::string complaint;
  for (const std::string& directory : plan.missing) {
    const auto hierarchy = std::find_if(hierarchies.begin(), hierarchies.end(), [&directory](const Hierarchy& h) {
      return directory.starts_with(h.mount_point + "/");
    });
    if (hierarchy == hierarchies.end()) continue;
    if (hierarchy->unified) PassControllersOn(Parent(directory));
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
      // One word for all: where cgroups are read-only, every hierarchy is.
      if (complaint.empty()) complaint = fmt::format("{}: {}", directory, ErrnoText(errno));
      continue;
    }
    const auto& controllers = hierarchy->controllers;
    if (std::find(controllers.begin(), controllers.end(), "cpuset") != controllers.end()) FillCpuset(directory);
  }
  if (!complaint.empty()) log::Warn("the container has no cgroup of its own on the host: cannot make {}", complaint);
  std::vector<std::string> leaves;
  for (const std::string& leaf : plan.leaves) {
    if (access(leaf.c_str(), F_OK) == 0) leaves.push_back(leaf);
  }
  return leaves;
}

std::vector<std::string> MakeHostCgroups(const CgroupPlan& plan) {
  const auto mountinfo = ReadFile("/proc/self/mountinfo");
  if (!mountinfo) {
    log::Warn("the container has no cgroup of its own on the host: {}", mountinfo.error().message());
    return {};
  }
  return MakeCgroups(plan, ParseHierarchies(*mountinfo));
}

std::vector<std::string> ProcsFiles(const std::vector<std::string>& leaves) {
  std::vector<std::string> files;
  files.reserve(leaves.size());
  for (const std::string& leaf : leaves) files.push_back(leaf + "/cgroup.procs");
  return files;
}

void EnterCgroups(const std::vector<std::string>& leaves, pid_t pid) {
  for (const std::string& file : ProcsFiles(leaves)) {
    if (auto moved = WriteFile(file, fmt::format("{}", pid)); !moved) {
      log::Warn("process {} stays in its cgroup: {}", pid, moved.error().message());
    }
  }
}

void RemoveCgroups(const std::vector<std::string>& made) {
  int tries = kRemoveTries;
  for (auto directory = made.rbegin(); directory != made.rend(); ++directory) {
    while (rmdir(directory->c_str()) != 0) {
      if (errno == ENOENT) break;
      if (errno != EBUSY || HasChildren(*directory) || tries == 0) {
        log::Debug("cannot remove the cgroup {}: {}", *directory, ErrnoText(errno));
        break;
      }
      --tries;
      poll(nullptr, 0, kRemovePause);
    }
  }
}

}  // namespace kata::sandbox
