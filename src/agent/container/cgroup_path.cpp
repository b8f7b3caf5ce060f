// SPDX-License-Identifier: Apache-2.0
// Converts linux.cgroupsPath, a path or systemd's slice:prefix:name, to a path of the guest's cgroup2 mount.
#include <algorithm>

#include "agent/container/cgroup.h"

namespace kata::agent {

namespace {

// systemd.slice(5): "a-b.slice" is a child of "a.slice". Returns the path "a.slice/a-b.slice".
Result<std::string> ExpandSlice(std::string_view slice) {
  constexpr std::string_view kSuffix = ".slice";
  if (slice.empty()) return std::string("system.slice");
  if (slice == "-.slice") return std::string();
  if (slice.size() <= kSuffix.size() || !slice.ends_with(kSuffix) || slice.find('/') != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "linux.cgroupsPath: \"{}\" is no systemd slice", slice);
  }
  const std::string_view name = slice.substr(0, slice.size() - kSuffix.size());
  std::string path;
  for (size_t dash = 0; dash <= name.size(); ++dash) {
    dash = std::min(name.find('-', dash), name.size());
    if (dash == 0 || name[dash - 1] == '-') {
      return Fail(Code::kInvalidArgument, "linux.cgroupsPath: \"{}\" is no systemd slice", slice);
    }
    path += fmt::format("{}{}{}", path.empty() ? "" : "/", name.substr(0, dash), kSuffix);
  }
  return path;
}

Result<std::string> ExpandSystemd(std::string_view path) {
  const size_t first = path.find(':');
  const size_t second = path.find(':', first + 1);
  const std::string_view prefix = path.substr(first + 1, second - first - 1);
  const std::string_view name = path.substr(second + 1);
  if (name.empty() || name.find('/') != std::string_view::npos || prefix.find('/') != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "linux.cgroupsPath: \"{}\" is not slice:prefix:name", path);
  }
  const std::string slice = TRY(ExpandSlice(path.substr(0, first)));
  if (name.ends_with(".slice")) return fmt::format("{}/{}", slice, name);
  return fmt::format("{}/{}{}{}.scope", slice, prefix, prefix.empty() ? "" : "-", name);
}

}  // namespace

Result<std::string> SanitizeCgroupPath(std::string_view cgroups_path, std::string_view id) {
  std::string path(cgroups_path);
  if (path.find('\0') != std::string::npos)
    return Fail(Code::kInvalidArgument, "linux.cgroupsPath has a NUL byte in it");
  if (path.find('/') == std::string::npos && std::count(path.begin(), path.end(), ':') == 2) {
    path = TRY(ExpandSystemd(path));
  }
  std::vector<std::string_view> parts;
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string clean;
  for (const std::string_view part : parts) clean += fmt::format("{}{}", clean.empty() ? "" : "/", part);
  // A container may not use the root cgroup, in which the agent is.
  return clean.empty() ? std::string(id) : clean;
}

}  // namespace kata::agent
