// SPDX-License-Identifier: Apache-2.0
#include "agent/container/sysctl.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <unistd.h>

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

Result<> ApplySysctls(const grpc::Linux& linux) {
  if (linux.sysctl().empty()) return {};
  const UniqueFd folder = TRY(Open("/proc/sys", O_PATH | O_DIRECTORY));
  if (!IsOnFilesystem(folder.get(), PROC_SUPER_MAGIC)) return Fail(Code::kInternal, "/proc/sys is no procfs");
  for (const auto& [name, value] : linux.sysctl()) {
    const std::string path = TRY(SysctlPath(name));
    const UniqueFd file = TRY(Context(OpenBeneath(folder.get(), path, O_WRONLY), "linux.sysctl[\"{}\"]", name));
    if (write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
      return FailErrno("linux.sysctl[\"{}\"]: cannot set it to \"{}\"", name, value);
    }
  }
  return {};
}

}  // namespace kata::agent
