// SPDX-License-Identifier: Apache-2.0
// The only directory of the guest in which the host may create files. Every path from the host is resolved beneath it,
// by descriptors and without following symbolic links.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// A resolved path: a descriptor of the parent directory, and the last component.
struct Place {
  UniqueFd parent;
  std::string name;
  // A path by way of the parent's descriptor (/proc/self/fd/N/NAME), so that renaming a directory above does not
  // redirect it. Valid while parent is open.
  std::string path() const;
};

// A directory such as /run/kata-containers. All paths are absolute and must lead below it. kInvalidArgument: a path
// outside of it, or one with ".." or a zero byte. A symbolic link on the way is the error of openat2(2).
class GuestDir {
 public:
  // Opens the directory path, and makes it with mode 0700 if it does not exist.
  static Result<GuestDir> Open(std::string path);

  const std::string& path() const { return path_; }
  // Makes the directory path and its missing parents with mode, and opens it with O_PATH.
  Result<UniqueFd> MakeDirs(std::string_view path, mode_t mode) const;
  // Resolves path, whose last component need not exist. Its parents must exist, or are made with mode if make_parents.
  Result<Place> Find(std::string_view path, bool make_parents, mode_t mode = 0755) const;
  // Opens an existing file or directory with flags and O_CLOEXEC.
  Result<UniqueFd> OpenExisting(std::string_view path, int flags) const;
  // Whether the parent of place is in the same file system as this directory, and not in one mounted below it.
  Result<bool> Owns(const Place& place) const;

 private:
  GuestDir(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<std::string> Relative(std::string_view path) const;
  Result<UniqueFd> Walk(std::string_view relative, mode_t mode) const;

  std::string path_;
  UniqueFd fd_;
};

}  // namespace kata::agent
