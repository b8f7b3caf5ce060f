// SPDX-License-Identifier: Apache-2.0
// The one directory in which the host may make things in the guest: every path of the host is walked beneath it, by
// descriptors and without following links.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// Where a path leads: its parent directory, pinned, and its last name.
struct Place {
  UniqueFd parent;
  std::string name;
  // A path that system calls resolve to exactly this place, whatever happens to the directories above it.
  std::string path() const;
};

// A directory such as /run/kata-containers. Paths are absolute and must lead below it: "..", links, and a path
// elsewhere are kInvalidArgument or the error of the walk.
class GuestDir {
 public:
  // Opens path, making it (0700) when it does not exist.
  static Result<GuestDir> Open(std::string path);

  const std::string& path() const { return path_; }
  // Makes the directory and those missing above it, and opens it O_PATH.
  Result<UniqueFd> MakeDirs(std::string_view path, mode_t mode) const;
  // The place of a path, whose parents must exist or, with make_parents, are made.
  Result<Place> Find(std::string_view path, bool make_parents, mode_t mode = 0755) const;
  // Opens something that exists.
  Result<UniqueFd> OpenExisting(std::string_view path, int flags) const;
  // The place is in the guest's own file system, and not in one that was mounted below this directory.
  Result<bool> Owns(const Place& place) const;

 private:
  GuestDir(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<std::string> Relative(std::string_view path) const;
  Result<UniqueFd> Walk(std::string_view relative, mode_t mode) const;

  std::string path_;
  UniqueFd fd_;
};

}  // namespace kata::agent
