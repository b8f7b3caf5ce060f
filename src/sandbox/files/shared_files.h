// SPDX-License-Identifier: Apache-2.0
// What of the host a guest sees: a tmpfs of mount points, exported by virtiofsd, on which trees of the host are
// mounted.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

enum class ReadOnly {
  kNo,
  kTop,        // "ro": the mount itself
  kRecursive,  // "rro": all mounts below it, too
};

// A detached copy (open_tree(2)) of the tree that source (O_PATH or more) stands for, with all mounts below it. Called
// in the mount namespace that source was opened in. What is mounted there later comes into the copy, nothing goes back.
Result<UniqueFd> CloneTree(int source);
// Its topmost mount only.
Result<> MakeReadOnly(int tree);
// From then on nothing that is mounted or unmounted on the host changes it, nor does it keep the host from unmounting.
Result<> MakePrivate(int tree);

// Owns the tmpfs at <directory>/shared of the process's own mount namespace; the mounts go with the namespace.
//
// The guest must not be able to put something else where a mount point is made (CVE-2020-2026) or undone
// (CVE-2020-2024): what virtiofsd exports is a read-only mount of the tmpfs, and mount points are made through another,
// writable and mounted nowhere.
class SharedFiles {
 public:
  // Mounts the tmpfs at directory/shared, which it makes when it is missing.
  static Result<SharedFiles> Create(int directory);

  // The directory for virtiofsd, absolute.
  const std::string& path() const { return path_; }

  // Mounts a detached tree (CloneTree) at name, which may have directories. Returns the path in the guest.
  // kAlreadyExists when the name is taken.
  Result<std::string> Add(UniqueFd tree, const std::string& name, ReadOnly read_only);
  // Detaches what Add mounted and removes the mount point, with its directories when they are empty; never anything
  // below it.
  Result<> Remove(const std::string& name);

 private:
  SharedFiles(std::string path, UniqueFd exported, UniqueFd writable)
      : path_(std::move(path)), exported_(std::move(exported)), writable_(std::move(writable)) {}
  Result<> MakeMountPoint(const std::string& name, bool dir);
  Result<> RemoveMountPoint(const std::string& name, bool dir);

  std::string path_;
  UniqueFd exported_;  // the read-only mount at path_
  UniqueFd writable_;  // the same tmpfs, detached
};

}  // namespace kata::sandbox
