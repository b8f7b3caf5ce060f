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

constexpr int kMaxLinks = 40;  // the limit of the kernel's own path resolution

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

// Opens the last component, with the caller's flags. O_NOFOLLOW, because after the check of the component somebody may
// have replaced it with a symbolic link.
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

// A path resolution that treats rootfd as "/".
class InRoot {
 public:
  InRoot(int rootfd, const std::string& path) : rootfd_(rootfd), path_(path), parts_(Split(path)) {}

  // Sets *name to the next component to open; returns false at the end of the path.
  bool Next(std::string* name) {
    while (!parts_.empty()) {
      *name = parts_.front();
      parts_.pop_front();
      if (*name == "..") {
        if (!trail_.empty()) trail_.pop_back();
      } else if (*name != ".") {
        return true;
      }
    }
    return false;
  }
  bool last() const { return parts_.empty(); }
  int at() const { return trail_.empty() ? rootfd_ : trail_.back().get(); }
  void Enter(UniqueFd directory) { trail_.push_back(std::move(directory)); }

  Result<> Follow(int link) {
    if (++links_ > kMaxLinks) return FailWith(ELOOP, "{}", path_);
    std::array<char, PATH_MAX> target{};
    const ssize_t length = readlinkat(link, "", target.data(), target.size() - 1);
    if (length <= 0) return FailErrno("cannot read a link of {}", path_);
    const std::string text(target.data(), static_cast<size_t>(length));
    if (text.front() == '/') trail_.clear();
    const std::deque<std::string> more = Split(text);
    parts_.insert(parts_.begin(), more.begin(), more.end());
    return {};
  }

 private:
  int rootfd_;
  const std::string& path_;
  std::deque<std::string> parts_;
  // The open directories from the root down to the current one. ".." pops one of them, so that the walk cannot leave
  // the root even if a directory is renamed meanwhile.
  std::vector<UniqueFd> trail_;
  int links_ = 0;
};

}  // namespace

Result<UniqueFd> WalkBeneath(int dirfd, const std::string& path, int flags, mode_t mode) {
  if (!path.empty() && path.front() == '/') return FailWith(EXDEV, "{} is not beneath its directory", path);
  const std::deque<std::string> parts = Split(path);
  UniqueFd at = TRY(Reopen(dirfd));
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == "..") return FailWith(EXDEV, "{} leaves its directory", path);
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
  InRoot walk(rootfd, path);
  std::string name;
  while (walk.Next(&name)) {
    auto step = OpenStep(walk.at(), name);
    if (!step && walk.last() && step.error().sys() == ENOENT) return OpenLast(walk.at(), name, flags, mode);
    UniqueFd next = TRY(std::move(step));
    if (TRY(IsLink(next.get()))) {
      if (walk.last() && (flags & O_NOFOLLOW) != 0) return OpenLast(walk.at(), name, flags, mode);
      TRY(walk.Follow(next.get()));
    } else if (walk.last()) {
      return OpenLast(walk.at(), name, flags, mode);
    } else {
      walk.Enter(std::move(next));
    }
  }
  return OpenLast(walk.at(), ".", flags & ~(O_CREAT | O_EXCL), mode);
}

Result<UniqueFd> MakeInRoot(int rootfd, const std::string& path, bool is_file, mode_t mode, mode_t directory_mode) {
  InRoot walk(rootfd, path);
  std::string name;
  while (walk.Next(&name)) {
    const bool file_here = is_file && walk.last();
    auto step = OpenStep(walk.at(), name);
    if (!step && step.error().sys() == ENOENT) {
      // Relative to an open descriptor: even after a rename the new entry is created in a directory of this walk.
      if (file_here) {
        const UniqueFd made(
            openat(walk.at(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
        if (!made && errno != EEXIST) return FailErrno("cannot make the file {}", path);
      } else if (mkdirat(walk.at(), name.c_str(), directory_mode) != 0 && errno != EEXIST) {
        return FailErrno("cannot make the directory {}", path);
      }
      step = OpenStep(walk.at(), name);
    }
    UniqueFd next = TRY(std::move(step));
    struct stat info {};
    if (fstat(next.get(), &info) != 0) return FailErrno("cannot look at {}", path);
    if (S_ISLNK(info.st_mode)) {
      TRY(walk.Follow(next.get()));
      continue;
    }
    if (file_here && S_ISDIR(info.st_mode)) return FailWith(EISDIR, "cannot make the file {}", path);
    if (!file_here && !S_ISDIR(info.st_mode)) {
      return FailWith(ENOTDIR, "cannot make the directory {}: something else is in its place", path);
    }
    if (walk.last()) return next;
    walk.Enter(std::move(next));
  }
  if (is_file) return FailWith(EISDIR, "cannot make the file {}", path);
  return OpenLast(walk.at(), ".", O_PATH | O_DIRECTORY, 0);
}

}  // namespace kata
