// SPDX-License-Identifier: Apache-2.0
#include "agent/container/command_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/files.h"

namespace kata::agent {

namespace {

// 0, or the errno with which executing path would fail.
int CanRun(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EACCES;  // as execve(2); engines turn this error into the exit status 126
  // Uses access(2), because a seccomp profile may not know its newer forms. Real and effective user are the same.
  return access(path.c_str(), X_OK) == 0 ? 0 : errno;
}

}  // namespace

const std::string* FindVariable(const std::vector<std::string>& env, const std::string& name, std::string* value) {
  const std::string* found = nullptr;
  for (const std::string& entry : env) {
    if (entry.size() <= name.size() || entry[name.size()] != '=' || !entry.starts_with(name)) continue;
    *value = entry.substr(name.size() + 1);
    found = value;
  }
  return found;
}

Result<std::string> FindCommand(const std::string& name, const std::vector<std::string>& env) {
  if (name.find('/') != std::string::npos) {
    switch (const int sys = CanRun(name)) {
      case 0:
        return name;
      case ENOENT:
        return Fail(Code::kNotFound, "exec: \"{}\": stat {}: no such file or directory", name, name);
      case ENOTDIR:
        return Fail(Code::kNotFound, "exec: \"{}\": stat {}: not a directory", name, name);
      case EACCES:
      case EPERM:
        return Fail(Code::kPermissionDenied, "exec: \"{}\": permission denied", name);
      default:
        return FailWith(sys, "exec: \"{}\"", name);
    }
  }
  std::string path;
  FindVariable(env, "PATH", &path);
  std::string_view rest = path;
  while (!rest.empty() && !name.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    std::string_view directory = rest.substr(0, colon);
    rest.remove_prefix(std::min(colon + 1, rest.size()));
    std::string candidate = fmt::format("{}/{}", directory.empty() ? "." : directory, name);
    if (CanRun(candidate) == 0) return candidate;
  }
  return Fail(Code::kNotFound, "exec: \"{}\": executable file not found in $PATH", name);
}

std::string HomeOf(const std::string& passwd, uid_t uid) {
  std::string_view rest = passwd;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    // name:password:uid:gid:gecos:home:shell
    std::array<std::string_view, 6> fields;
    for (auto& field : fields) {
      field = line.substr(0, line.find(':'));
      line.remove_prefix(std::min(field.size() + 1, line.size()));
    }
    uid_t number = 0;
    const char* end = fields[2].data() + fields[2].size();
    const auto parsed = std::from_chars(fields[2].data(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end && number == uid && fields[5].starts_with('/')) {
      return std::string(fields[5]);
    }
  }
  return "/";
}

std::string FindHome(uid_t uid) {
  constexpr size_t kMaxSize = 1U << 20U;
  // O_NONBLOCK: opening a FIFO of the image must not block.
  const auto fd = Open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat info {};
  if (!fd || fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) return "/";
  const auto text = ReadAll(fd->get(), kMaxSize);
  return text ? HomeOf(*text, uid) : "/";
}

}  // namespace kata::agent
