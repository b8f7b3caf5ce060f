// SPDX-License-Identifier: Apache-2.0
#include "agent/container/sysctl.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "agent/container/mount_api.h"
#include "base/files.h"

namespace kata::agent {

Result<std::string> SysctlPath(std::string_view name) {
  std::string path(name);
  const size_t first = path.find_first_of("./");
  if (first != std::string::npos && path[first] == '.') {
    for (char& c : path) {
      if (c == '.') {
        c = '/';
      } else if (c == '/') {
        c = '.';
      }
    }
  }
  const std::string guarded = "/" + path + "/";
  if (path.empty() || guarded.find("//") != std::string::npos || guarded.find("/../") != std::string::npos ||
      guarded.find("/./") != std::string::npos || path.find('\0') != std::string::npos) {
    return Fail(Code::kInvalidArgument, "linux.sysctl[\"{}\"]: no name of a kernel parameter", name);
  }
  return path;
}

Result<std::string> GuestGroups(std::string_view value, const grpc::Linux& linux) {
  if (linux.gidmappings().empty()) return std::string(value);
  std::string groups;
  while (true) {
    value.remove_prefix(std::min(value.find_first_not_of(" \t\n"), value.size()));
    if (value.empty()) return groups;
    uint32_t group = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), group);
    if (error != std::errc()) return Fail(Code::kInvalidArgument, "\"{}\" is no group number", value);
    value.remove_prefix(static_cast<size_t>(end - value.data()));
    const auto& all = linux.gidmappings();
    const auto mapping = std::find_if(all.begin(), all.end(), [group](const auto& one) {
      return group >= one.containerid() && group - one.containerid() < one.size();
    });
    if (mapping == all.end()) return Fail(Code::kInvalidArgument, "group {} is not in linux.gidMappings", group);
    groups += fmt::format("{}{}", groups.empty() ? "" : " ", group - mapping->containerid() + mapping->hostid());
  }
}

Result<> ApplySysctls(const grpc::Linux& linux, bool network) {
  UniqueFd directory;
  for (const auto& [name, wanted] : linux.sysctl()) {
    const std::string path = TRY(SysctlPath(name));
    if (path.starts_with("net/") != network) continue;
    if (!directory) directory = TRY(Open("/proc/sys", O_PATH | O_DIRECTORY));
    if (!IsOnFilesystem(directory.get(), PROC_SUPER_MAGIC)) return Fail(Code::kInternal, "/proc/sys is no procfs");
    std::string value = wanted;
    if (path == "net/ipv4/ping_group_range") {
      value = TRY(Context(GuestGroups(wanted, linux), "linux.sysctl[\"{}\"]", name));
    }
    const UniqueFd file = TRY(Context(OpenBeneath(directory.get(), path, O_WRONLY), "linux.sysctl[\"{}\"]", name));
    if (write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
      return FailErrno("linux.sysctl[\"{}\"]: cannot set it to \"{}\"", name, value);
    }
  }
  return {};
}

}  // namespace kata::agent
