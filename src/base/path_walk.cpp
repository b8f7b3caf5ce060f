// SPDX-License-Identifier: Apache-2.0
#include "base/path_walk.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <array>
#include <deque>
#include <vector>

namespace kata {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's own walk

std::deque<std::string> Split(const std::string& path) {
  std::deque<std::string> parts;
  size_t start = 0;
  while (start <= path.size()) {
    const size_t end = std::min(path.find('/', start), path.size());
    if (end > start) parts.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

Result<UniqueFd> Reopen(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return FailErrno("cannot duplicate a descriptor");
  return copy;
}

// The last step: flags count only here. O_NOFOLLOW, since a link has been looked at already and may have been swapped
// in.
Result<UniqueFd> OpenLast(int dirfd, const std::string& name, int flags, mode_t mode) {
  UniqueFd fd(openat(dirfd, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return FailErrno("cannot open {}", name);
  return fd;
}

Result<UniqueFd> OpenStep(int dirfd, const std::string& name) {
  UniqueFd fd(openat(dirfd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return FailErrno("cannot open {}", name);
  return fd;
}

Result<bool> IsLink(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return FailErrno("cannot look at a file");
  return S_ISLNK(info.st_mode);
}

}  // namespace

Result<UniqueFd> WalkBeneath(int dirfd, const std::string& path, int flags, mode_t mode) {
  if (!path.empty() && path.front() == '/') return FailWith(EXDEV, "{} is not beneath its folder", path);
  const std::deque<std::string> parts = Split(path);
  UniqueFd at = TRY(Reopen(dirfd));
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == "..") return FailWith(EXDEV, "{} leaves its folder", path);
    if (i + 1 == parts.size() && parts[i] != ".") {
      if (auto step = OpenStep(at.get(), parts[i]); step && TRY(IsLink(step->get())))
        return FailWith(ELOOP, "{}", path);
      return OpenLast(at.get(), parts[i], flags, mode);
    }
    if (parts[i] == ".") continue;
    UniqueFd next = TRY(OpenStep(at.get(), parts[i]));
    if (TRY(IsLink(next.get()))) return FailWith(ELOOP, "{} has a symbolic link on its way", path);
    at = std::move(next);
  }
  return OpenLast(at.get(), ".", flags, mode);
}

Result<UniqueFd> WalkInRoot(int rootfd, const std::string& path, int flags, mode_t mode) {
  std::deque<std::string> parts = Split(path);
  // The folders from the root down to here. ".." goes back along it, and so never above the root, whatever is renamed.
  std::vector<UniqueFd> trail;
  int links = 0;
  while (!parts.empty()) {
    const std::string name = parts.front();
    parts.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      if (!trail.empty()) trail.pop_back();
      continue;
    }
    const int at = trail.empty() ? rootfd : trail.back().get();
    auto step = OpenStep(at, name);
    const bool last = parts.empty();
    if (!step && last && step.error().sys() == ENOENT) return OpenLast(at, name, flags, mode);
    UniqueFd next = TRY(std::move(step));
    if (TRY(IsLink(next.get()))) {
      if (last && (flags & O_NOFOLLOW) != 0) return OpenLast(at, name, flags, mode);
      if (++links > kMaxLinks) return FailWith(ELOOP, "{}", path);
      std::array<char, PATH_MAX> target{};
      const ssize_t length = readlinkat(next.get(), "", target.data(), target.size() - 1);
      if (length < 0) return FailErrno("cannot read the link {}", name);
      const std::string text(target.data(), static_cast<size_t>(length));
      if (text.front() == '/') trail.clear();
      std::deque<std::string> more = Split(text);
      parts.insert(parts.begin(), more.begin(), more.end());
      continue;
    }
    if (last) return OpenLast(at, name, flags, mode);
    trail.push_back(std::move(next));
  }
  return OpenLast(trail.empty() ? rootfd : trail.back().get(), ".", flags & ~(O_CREAT | O_EXCL), mode);
}

}  // namespace kata
