// SPDX-License-Identifier: Apache-2.0
// Computes the directories of a container's cgroups: text processing, except for the check whether a directory exists.
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "sandbox/host/cgroup.h"

namespace kata::sandbox {
namespace {

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// The caller's cgroup as seen from the mount point.
std::string Below(const Hierarchy& hierarchy, const std::string& own) {
  if (hierarchy.root == "/") return own;
  if (own == hierarchy.root) return "";
  if (own.starts_with(hierarchy.root + "/")) return own.substr(hierarchy.root.size());
  return "";
}

// "." and ".." resolved, never above "/".
std::string Normal(const std::string& path) {
  const std::string normal = std::filesystem::path("/" + path).lexically_normal().string();
  return normal.size() > 1 && normal.ends_with('/') ? normal.substr(0, normal.size() - 1) : normal;
}

const std::string* OwnCgroup(const Hierarchy& hierarchy, const std::map<std::string, std::string>& own) {
  const auto found = own.find(hierarchy.unified ? "" : hierarchy.controllers.front());
  return found == own.end() ? nullptr : &found->second;
}

// The start of a relative path, seen from the mount point: the same as runc's.
std::string BaseOf(const Hierarchy& hierarchy, const std::string* own, bool hybrid) {
  if (own == nullptr || (hierarchy.unified && hybrid)) return "";
  const std::string below = Normal(Below(hierarchy, *own));
  const std::string base = hierarchy.unified ? below.substr(0, below.rfind('/')) : below;
  return base == "/" ? "" : base;
}

}  // namespace

std::vector<Hierarchy> ParseHierarchies(std::string_view mountinfo) {
  std::vector<Hierarchy> hierarchies;
  for (const std::string& line : Split(mountinfo, '\n')) {
    const std::vector<std::string> fields = Split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 10 || fields.end() - dash < 4) continue;
    Hierarchy hierarchy{
        .mount_point = UnescapeMountinfo(fields[4]), .root = UnescapeMountinfo(fields[3]), .controllers = {}};
    hierarchy.unified = dash[1] == "cgroup2";
    if (!hierarchy.unified && dash[1] != "cgroup") continue;
    if (!hierarchy.unified) {
      for (std::string& option : Split(dash[3], ',')) {
        if (option != "rw" && option != "ro" && option != "xattr" && option != "noprefix" &&
            option != "clone_children" && !option.starts_with("release_agent=")) {
          hierarchy.controllers.push_back(std::move(option));
        }
      }
      if (hierarchy.controllers.empty()) continue;
    }
    const bool known = std::any_of(hierarchies.begin(), hierarchies.end(), [&](const Hierarchy& other) {
      return other.unified == hierarchy.unified && other.controllers == hierarchy.controllers;
    });
    if (!known) hierarchies.push_back(std::move(hierarchy));
  }
  return hierarchies;
}

std::map<std::string, std::string> ParseOwnCgroups(std::string_view text) {
  std::map<std::string, std::string> own;
  for (const std::string& line : Split(text, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    for (std::string& controller : Split(std::string_view(line).substr(first + 1, second - first - 1), ',')) {
      own[std::move(controller)] = line.substr(second + 1);
    }
  }
  return own;
}

Result<CgroupPlace> PlaceOf(const std::string& spec_path, const std::string& id, bool systemd) {
  if (!systemd) return CgroupPlace{.path = spec_path.empty() ? id : spec_path, .unit = {}};
  Unit unit = TRY(ParseUnit(spec_path, id));
  std::string path = CgroupOf(unit);
  return CgroupPlace{.path = std::move(path), .unit = std::move(unit)};
}

CgroupPlan PlanCgroups(const std::vector<Hierarchy>& hierarchies, const std::map<std::string, std::string>& own,
                       const std::string& path) {
  CgroupPlan plan;
  const bool hybrid = std::any_of(hierarchies.begin(), hierarchies.end(), [](const auto& one) { return !one.unified; });
  for (const Hierarchy& hierarchy : hierarchies) {
    const std::string base = path.starts_with('/') ? "" : BaseOf(hierarchy, OwnCgroup(hierarchy, own), hybrid);
    const std::string below = Normal(base + Normal(path));
    if (below == "/") continue;  // the root cgroup belongs to no container
    std::string directory = hierarchy.mount_point;
    for (const std::string& part : Split(std::string_view(below).substr(1), '/')) {
      directory += "/" + part;
      if (access(directory.c_str(), F_OK) != 0) plan.missing.push_back(directory);
    }
    plan.leaves.push_back(std::move(directory));
  }
  return plan;
}

Result<std::vector<std::string>> CgroupsOf(pid_t pid) {
  return CgroupsOf(pid, ParseHierarchies(TRY(ReadFile("/proc/self/mountinfo"))));
}

Result<std::vector<std::string>> CgroupsOf(pid_t pid, const std::vector<Hierarchy>& hierarchies) {
  const auto own = ParseOwnCgroups(TRY(ReadFile(fmt::format("/proc/{}/cgroup", pid))));
  std::vector<std::string> directories;
  for (const Hierarchy& hierarchy : hierarchies) {
    const std::string* mine = OwnCgroup(hierarchy, own);
    if (mine != nullptr) directories.push_back(hierarchy.mount_point + Below(hierarchy, *mine));
  }
  return directories;
}

}  // namespace kata::sandbox
