// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/guest_dir.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/files.h"

namespace kata::agent {

namespace {

constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

std::string Place::path() const { return FdPath(parent.get()) + "/" + name; }

Result<GuestDir> GuestDir::Open(std::string path) {
  if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) return FailErrno("cannot make {}", path);
  auto fd = TRY(kata::Open(path, kDirectory));
  return GuestDir(std::move(path), std::move(fd));
}

// Converts path to a path relative to this directory, without empty components. This checks the text only; the walk by
// descriptors checks for symbolic links.
Result<std::string> GuestDir::Relative(std::string_view path) const {
  if (path.size() >= PATH_MAX || path.find('\0') != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "a path of {} bytes is too long or has a zero byte in it", path.size());
  }
  if (!path.starts_with(path_) || path.size() <= path_.size() || path[path_.size()] != '/') {
    return Fail(Code::kInvalidArgument, "{} is not below {}", path, path_);
  }
  std::string relative;
  std::string_view rest = path.substr(path_.size() + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") return Fail(Code::kInvalidArgument, "{} has \"..\" in it", path);
    if (!relative.empty()) relative += '/';
    relative += part;
  }
  if (relative.empty()) return Fail(Code::kInvalidArgument, "{} names {} itself", path, path_);
  return relative;
}

// Goes down one component at a time. The descriptor pins each directory, so that nobody can replace it by a symbolic
// link between two steps.
Result<UniqueFd> GuestDir::Walk(std::string_view relative, mode_t mode) const {
  auto at = TRY(OpenBeneath(fd_.get(), ".", kDirectory));
  while (!relative.empty()) {
    const size_t end = std::min(relative.find('/'), relative.size());
    const std::string part(relative.substr(0, end));
    relative.remove_prefix(std::min(end + 1, relative.size()));
    if (::mkdirat(at.get(), part.c_str(), mode) < 0 && errno != EEXIST) {
      return FailErrno("cannot make the directory {}", part);
    }
    at = TRY(OpenBeneath(at.get(), part, kDirectory));
  }
  return at;
}

Result<UniqueFd> GuestDir::MakeDirs(std::string_view path, mode_t mode) const {
  const auto relative = TRY(Relative(path));
  return Context(Walk(relative, mode), "cannot make {}", path);
}

Result<Place> GuestDir::Find(std::string_view path, bool make_parents, mode_t mode) const {
  const auto relative = TRY(Relative(path));
  const size_t slash = relative.rfind('/');
  Place place;
  if (slash == std::string::npos) {
    place.name = relative;
    place.parent = TRY(Walk("", mode));
    return place;
  }
  place.name = relative.substr(slash + 1);
  const std::string parents = relative.substr(0, slash);
  place.parent = make_parents ? TRY(Context(Walk(parents, mode), "cannot make the directories of {}", path))
                              : TRY(Context(OpenBeneath(fd_.get(), parents, kDirectory), "cannot open {}", path));
  return place;
}

Result<UniqueFd> GuestDir::OpenExisting(std::string_view path, int flags) const {
  const auto relative = TRY(Relative(path));
  return Context(OpenBeneath(fd_.get(), relative, flags | O_CLOEXEC), "cannot open {}", path);
}

Result<bool> GuestDir::Owns(const Place& place) const {
  struct stat own {};
  struct stat parent {};
  if (::fstat(fd_.get(), &own) < 0 || ::fstat(place.parent.get(), &parent) < 0) {
    return FailErrno("cannot look at the directory of {}", place.name);
  }
  return own.st_dev == parent.st_dev;
}

}  // namespace kata::agent
