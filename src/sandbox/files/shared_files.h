// SPDX-License-Identifier: Apache-2.0
// The files of the host that the guest sees: the file server exports a tmpfs, on which trees of the host are mounted.
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

// A detached copy (open_tree(2)) of the tree at `source` (O_PATH or more); recursive: with all mounts below it. To be
// called in the mount namespace in which `source` was opened. Later mounts on the host propagate into the copy, but not
// back.
Result<UniqueFd> CloneTree(int source, bool recursive);
// Maps the ids of a tree that is attached nowhere yet (MOUNT_ATTR_IDMAP). EINVAL: one of its file systems knows no
// idmapped mounts.
Result<> MapIds(int tree, int user_namespace);
// Mounts a detached tree on top of what a descriptor refers to.
Result<> AttachTree(int tree, int place);
// Makes the topmost mount of a tree read-only, not the mounts below it.
Result<> MakeReadOnly(int tree);
// Ends mount propagation into a tree: later mounts and unmounts on the host do not change it. It does not keep the host
// from unmounting either.
Result<> MakePrivate(int tree);

// Owns the tmpfs at <directory>/shared in the process's own mount namespace. Its mounts end with that namespace.
//
// The guest must not be able to replace a mount point while it is made (CVE-2020-2026) or removed (CVE-2020-2024). So
// The file server exports a read-only mount of the tmpfs. Mount points are made through a second mount of it, which is
// writable and detached.
class SharedFiles {
 public:
  // Mounts the tmpfs at directory/shared, and makes that directory when it is missing. selinux_context: the label of
  // all of its files (linux.mountLabel); empty: the host's policy chooses.
  static Result<SharedFiles> Create(int directory, const std::string& selinux_context = {});

  // The absolute path of the directory that the file server exports, as it was at first: a sandbox of the command line
  // may move it (home.h).
  const std::string& path() const { return path_; }

  // Mounts a detached tree (CloneTree) at name, which may contain slashes; devices in it cannot be opened (nodev).
  // Returns the path in the guest. kAlreadyExists: the name is taken.
  Result<std::string> Add(UniqueFd tree, const std::string& name, ReadOnly read_only);
  // Detaches what Add mounted at name, and removes the mount point and the directories above it that are empty then.
  // Never removes anything of the mounted tree.
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
