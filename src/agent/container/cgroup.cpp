// SPDX-License-Identifier: Apache-2.0
#include "agent/container/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "base/files.h"

namespace kata::agent {

namespace {

Result<UniqueFd> OpenDirectory(int dirfd, const std::string& name) {
  UniqueFd fd(openat(dirfd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return FailErrno("cannot open the cgroup {}", name);
  return fd;
}

Result<std::string> ReadAt(int dirfd, const std::string& file) {
  const UniqueFd fd(openat(dirfd, file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return FailErrno("cannot open {}", file);
  return Context(ReadAll(fd.get()), "reading {}", file);
}

Result<> WriteAt(int dirfd, const std::string& file, std::string_view data) {
  const UniqueFd fd(openat(dirfd, file.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return FailErrno("cannot open {}", file);
  if (write(fd.get(), data.data(), data.size()) < 0) return FailErrno("cannot write \"{}\" to {}", data, file);
  return {};
}

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" \n"), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// Enables all controllers for the cgroups below. Failures are ignored: a controller that cannot be enabled, for example
// because the cgroup contains processes, is missing below, and ApplyLimits reports a limit that needs it.
void EnableControllers(int dirfd) {
  const auto has = ReadAt(dirfd, "cgroup.controllers");
  const auto enabled = ReadAt(dirfd, "cgroup.subtree_control");
  if (!has || !enabled) return;
  const std::vector<std::string_view> done = Words(*enabled);
  std::string missing;
  for (const std::string_view name : Words(*has)) {
    if (std::find(done.begin(), done.end(), name) == done.end()) missing += fmt::format("+{} ", name);
  }
  if (missing.empty() || WriteAt(dirfd, "cgroup.subtree_control", missing)) return;
  // The write of all names has failed as a whole: tries each controller alone.
  for (const std::string_view name : Words(missing)) (void)WriteAt(dirfd, "cgroup.subtree_control", name);
}

std::string FirstDirectory(int dirfd) {
  const int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return {};
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(copy), closedir);
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") return std::string(name);
  }
  return {};
}

// Removes all cgroups below dirfd. A container may nest its cgroups without limit, so this does not recurse, and holds
// at most two cgroups open at a time.
Result<> RemoveBelow(int dirfd) {
  while (true) {
    UniqueFd parent = TRY(OpenDirectory(dirfd, "."));
    std::string name = FirstDirectory(parent.get());
    if (name.empty()) return {};
    while (true) {
      UniqueFd child = TRY(OpenDirectory(parent.get(), name));
      std::string below = FirstDirectory(child.get());
      if (below.empty()) break;
      parent = std::move(child);
      name = std::move(below);
    }
    if (unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0) return FailErrno("cannot remove the cgroup {}", name);
  }
}

Result<> CollectPids(int dirfd, std::vector<pid_t>* pids, int depth) {
  constexpr int kMaxDepth = 64;
  const std::string text = TRY(ReadAt(dirfd, "cgroup.procs"));
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    pid_t pid = 0;
    at = std::from_chars(at, end, pid).ptr + 1;
    if (pid > 0) pids->push_back(pid);
  }
  if (depth >= kMaxDepth) return {};
  for (const std::string& name : TRY(ListDir(dirfd))) {
    const UniqueFd child(openat(dirfd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    // Errors are ignored: the cgroup may be gone, or threaded, in which case cgroup.procs cannot be read.
    if (child) (void)CollectPids(child.get(), pids, depth + 1);
  }
  return {};
}

}  // namespace

Result<Cgroup> Cgroup::Create(const std::string& mount, const std::string& path) {
  Cgroup cgroup;
  cgroup.mount_ = mount;
  cgroup.path_ = path;
  UniqueFd at = TRY(Open(mount, O_RDONLY | O_DIRECTORY));
  struct statfs info {};
  if (fstatfs(at.get(), &info) != 0 || info.f_type != CGROUP2_SUPER_MAGIC) {
    return Fail(Code::kFailedPrecondition, "{} is no cgroup2 mount", mount);
  }
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string name(rest.substr(0, slash));
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    EnableControllers(at.get());
    if (mkdirat(at.get(), name.c_str(), 0755) == 0) {
      ++cgroup.made_;
    } else if (errno == EEXIST) {
      cgroup.made_ = 0;
    } else {
      auto failed = FailErrno("linux.cgroupsPath: cannot make the cgroup {}", path);
      (void)cgroup.RemoveDirectories();
      return failed;
    }
    at = TRY(Context(OpenDirectory(at.get(), name), "linux.cgroupsPath: {}", path));
  }
  cgroup.fd_ = std::move(at);
  if (cgroup.made_ == 0 && !TRY(cgroup.Pids()).empty()) {
    return Fail(Code::kAlreadyExists, "linux.cgroupsPath: the cgroup {} is in use", path);
  }
  return cgroup;
}

bool Cgroup::Has(const std::string& file) const { return faccessat(fd(), file.c_str(), F_OK, 0) == 0; }

Result<std::string> Cgroup::Read(const std::string& file) const { return ReadAt(fd(), file); }

Result<> Cgroup::Write(const std::string& file, std::string_view data) const { return WriteAt(fd(), file, data); }

std::optional<uint64_t> KeyOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() <= key.size() || !line.starts_with(key) || line[key.size()] != ' ') continue;
    uint64_t value = 0;
    std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), value);
    return value;
  }
  return std::nullopt;
}

std::optional<uint64_t> Cgroup::ReadKey(const std::string& file, std::string_view key) const {
  const auto text = Read(file);
  return text ? KeyOf(*text, key) : std::nullopt;
}

Result<std::vector<pid_t>> Cgroup::Pids() const {
  std::vector<pid_t> pids;
  TRY(CollectPids(fd(), &pids, 0));
  return pids;
}

Result<> Cgroup::SignalAll(int signal) const {
  // The kernel kills processes that are forked meanwhile, too.
  if (signal == SIGKILL) return Write("cgroup.kill", "1");
  for (const pid_t pid : TRY(Pids())) {
    if (kill(pid, signal) != 0 && errno != ESRCH) return FailErrno("cannot send signal {} to process {}", signal, pid);
  }
  return {};
}

Result<bool> Cgroup::Frozen() const { return TRY(Read("cgroup.freeze")).starts_with('1'); }

Result<> Cgroup::RemoveDirectories() const {
  if (fd_) TRY(RemoveBelow(fd()));
  const UniqueFd mount = TRY(Open(mount_, O_RDONLY | O_DIRECTORY));
  std::string path = path_;
  // Removes the container's own cgroup, and then the parents that Create has made, up to the first that is in use.
  for (size_t level = 0; level < std::max<size_t>(made_, 1); ++level) {
    if (unlinkat(mount.get(), path.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      if (level == 0) return FailErrno("cannot remove the cgroup {}", path);
      break;
    }
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) break;
    path.resize(slash);
  }
  return {};
}

}  // namespace kata::agent
