// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/cgroup.h"

#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>
#include <tuple>

#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

// How often removing a cgroup is tried again while its last process (such as an exec's stand-in) exits, and the pause
// between two attempts in milliseconds. Five seconds in all, for a busy host.
constexpr int kRemoveTries = 1000;
constexpr int kRemovePause = 5;

// runc's message.
constexpr char kCannotApply[] = "unable to apply cgroup configuration";

std::string Parent(const std::string& directory) { return directory.substr(0, directory.rfind('/')); }

Result<> FillCpuset(const std::string& directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const std::string path = fmt::format("{}/{}", directory, file);
    const auto present = ReadFile(path);
    if (!present || present->find_first_not_of("\n ") != std::string::npos) continue;
    const auto above = ReadFile(fmt::format("{}/{}", Parent(directory), file));
    if (!above) continue;
    TRY(Context(WriteFile(path, *above), "{}", kCannotApply));
  }
  return {};
}

// A cpuset of cgroup v1 without processors takes no process. Each new one gets its parent's, from the top downwards.
Result<> FillCpusets(const std::string& leaf, const std::string& mount_point) {
  for (size_t end = mount_point.size(); end != leaf.size();) {
    end = std::min(leaf.find('/', end + 1), leaf.size());
    TRY(FillCpuset(leaf.substr(0, end)));
  }
  return {};
}

// Enables controllers for the cgroups below a new one of cgroup v2; without them engines find no memory.current there.
// Each is written separately, since some may not be available to this process.
void PassControllersOn(const std::string& directory) {
  const auto available = ReadFile(directory + "/cgroup.controllers");
  if (!available) return;
  std::string_view rest = *available;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of(" \n"), rest.size());
    const std::string controller = fmt::format("+{}", rest.substr(0, end));
    if (end > 0) std::ignore = WriteFile(directory + "/cgroup.subtree_control", controller);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

// Prepares a new cgroup of cgroup v2. Below a threaded cgroup it takes processes only if it is threaded too
// (cgroups(7)).
void PrepareNew(const std::string& directory, bool is_leaf) {
  const std::string type = directory + "/cgroup.type";
  const auto is = ReadFile(type);
  if (is && is->starts_with("domain invalid")) std::ignore = WriteFile(type, "threaded");
  if (!is_leaf) PassControllersOn(directory);
}

// Whether a hierarchy only tracks processes, so that a container can do without it.
bool IsOptional(const Hierarchy& hierarchy, const std::vector<Hierarchy>& all) {
  if (!hierarchy.unified) return hierarchy.controllers.front().starts_with("name=");
  return std::any_of(all.begin(), all.end(), [](const Hierarchy& other) { return !other.unified; });
}

bool MayNot(int sys) { return sys == EROFS || sys == EACCES || sys == EPERM; }

template <typename Container, typename Value>
bool Has(const Container& container, const Value& value) {
  return std::find(container.begin(), container.end(), value) != container.end();
}

bool HasChildren(const std::string& directory) {
  struct stat info {};
  // A directory has one link for itself, one from its parent, and one for each child.
  return stat(directory.c_str(), &info) == 0 && info.st_nlink > 2;
}

}  // namespace

bool HostIsUnified() {
  struct statfs filesystem {};
  return statfs("/sys/fs/cgroup", &filesystem) == 0 && filesystem.f_type == CGROUP2_SUPER_MAGIC;
}

const Hierarchy* HierarchyOf(const std::string& directory, const std::vector<Hierarchy>& hierarchies) {
  const Hierarchy* found = nullptr;
  for (const Hierarchy& hierarchy : hierarchies) {
    if (!(directory + "/").starts_with(hierarchy.mount_point + "/")) continue;
    // A hierarchy may be mounted inside another.
    if (found == nullptr || hierarchy.mount_point.size() > found->mount_point.size()) found = &hierarchy;
  }
  return found;
}

Result<CgroupPlan> PlanHostCgroups(const std::string& path) {
  const std::string mountinfo = TRY(ReadFile("/proc/self/mountinfo"));
  const std::string own = TRY(ReadFile("/proc/self/cgroup"));
  return PlanCgroups(ParseHierarchies(mountinfo), ParseOwnCgroups(own), path);
}

Result<std::vector<std::string>> MakeCgroups(const CgroupPlan& plan, const std::vector<Hierarchy>& hierarchies,
                                             CgroupUse use) {
  std::string complaint;
  std::vector<const Hierarchy*> without;  // hierarchies in which none can be made
  for (const std::string& directory : plan.missing) {
    const Hierarchy* hierarchy = HierarchyOf(directory, hierarchies);
    if (hierarchy == nullptr || Has(without, hierarchy)) continue;
    if (mkdir(directory.c_str(), 0755) == 0) {
      if (hierarchy->unified) PrepareNew(directory, Has(plan.leaves, directory));
      continue;
    }
    // Another sandbox has made it in the meantime, and prepares it.
    if (errno == EEXIST) continue;
    if (!MayNot(errno) && !IsOptional(*hierarchy, hierarchies)) {
      return FailErrno("{}: cannot make {}", kCannotApply, directory);
    }
    // One warning for all: where cgroups are read-only, they are so in every hierarchy.
    if (complaint.empty()) complaint = fmt::format("{}: {}", directory, ErrnoText(errno));
    without.push_back(hierarchy);
  }
  const log::Level level = use == CgroupUse::kRequired ? log::Level::kWarning : log::Level::kDebug;
  if (!complaint.empty() && log::Enabled(level)) {
    log::Write(level, fmt::format("the container has no cgroup of its own on the host: cannot make {}", complaint));
  }
  std::vector<std::string> leaves;
  for (const std::string& leaf : plan.leaves) {
    if (access(leaf.c_str(), F_OK) != 0) continue;
    const Hierarchy* hierarchy = HierarchyOf(leaf, hierarchies);
    if (hierarchy != nullptr && Has(hierarchy->controllers, "cpuset")) {
      auto filled = FillCpusets(leaf, hierarchy->mount_point);
      if (!filled && use == CgroupUse::kIfAllowed) continue;
      TRY(std::move(filled));
    }
    leaves.push_back(leaf);
  }
  return leaves;
}

Result<> EnterCgroups(const std::vector<std::string>& leaves, pid_t pid, CgroupUse use) {
  const auto hierarchies = ParseHierarchies(TRY(ReadFile("/proc/self/mountinfo")));
  for (const std::string& leaf : leaves) {
    auto moved = WriteFile(leaf + "/cgroup.procs", fmt::format("{}", pid));
    if (moved) continue;
    const Hierarchy* hierarchy = HierarchyOf(leaf, hierarchies);
    const bool optional = hierarchy != nullptr && IsOptional(*hierarchy, hierarchies);
    if (!optional && use == CgroupUse::kRequired) return Context(std::move(moved), "{}", kCannotApply);
    log::Debug("process {} stays in its cgroup: {}", pid, moved.error().message());
  }
  return {};
}

size_t CountProcesses(const std::vector<std::string>& directories) {
  std::set<pid_t> found;
  for (const std::string& directory : directories) {
    std::error_code gone;  // a cgroup may be removed during the walk
    std::vector<std::string> all = {directory};
    for (std::filesystem::recursive_directory_iterator at(directory, gone), end; !gone && at != end;
         at.increment(gone)) {
      if (at->is_directory(gone)) all.push_back(at->path());
    }
    for (const std::string& one : all) {
      std::istringstream pids(ReadFile(one + "/cgroup.procs").value_or(""));
      for (pid_t pid = 0; pids >> pid;) found.insert(pid);
    }
  }
  return found.size();
}

std::vector<std::string> LeavesOf(const std::vector<std::string>& made) {
  std::vector<std::string> leaves;
  for (const std::string& directory : made) {
    const bool holds = std::any_of(made.begin(), made.end(), [&directory](const std::string& other) {
      return other.starts_with(directory + "/");
    });
    if (!holds) leaves.push_back(directory);
  }
  return leaves;
}

void RemoveCgroups(const std::vector<std::string>& made) {
  int tries = kRemoveTries;
  const std::vector<std::string> leaves = LeavesOf(made);
  for (auto directory = made.rbegin(); directory != made.rend(); ++directory) {
    while (rmdir(directory->c_str()) != 0) {
      if (errno == ENOENT) break;
      if (errno != EBUSY || HasChildren(*directory) || tries == 0) {
        // Parent directories may be in use by other sandboxes by now, which is no problem.
        const std::string text = fmt::format("cannot remove the cgroup {}: {}", *directory, ErrnoText(errno));
        Has(leaves, *directory) ? log::Warn("{}", text) : log::Debug("{}", text);
        break;
      }
      --tries;
      poll(nullptr, 0, kRemovePause);
    }
  }
}

}  // namespace kata::sandbox
