// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/shared_files.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/files.h"
#include "protocol/guest_contract.h"
#include "sandbox/record/directory.h"

namespace kata::sandbox {
namespace {

// System calls without wrappers: Debian 12's C library has wrappers, but older ones on which the program also runs have
// not.
int OpenTree(int fd, const char* path, unsigned flags) {
  return static_cast<int>(syscall(SYS_open_tree, fd, path, flags));
}
int MoveMount(int from, int to, const char* path) {
  return static_cast<int>(syscall(SYS_move_mount, from, "", to, path, MOVE_MOUNT_F_EMPTY_PATH));
}
int SetAttributes(int fd, unsigned flags, uint64_t set, uint64_t propagation = 0) {
  mount_attr attributes{.attr_set = set, .propagation = propagation};
  return static_cast<int>(syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, &attributes, sizeof(attributes)));
}

Result<UniqueFd> Clone(int source, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  UniqueFd tree(OpenTree(source, "", flags));
  if (!tree) return FailErrno("cannot clone the mount (open_tree)");
  return tree;
}

}  // namespace

Result<UniqueFd> CloneTree(int source, bool recursive) {
  UniqueFd tree = TRY(Clone(source, recursive));
  // A slave, not a peer, of the host's mounts: unmounting a peer would unmount the host's mounts below it as well.
  if (SetAttributes(tree.get(), AT_RECURSIVE, 0, MS_SLAVE) != 0) {
    return FailErrno("cannot cut a cloned mount off from the host's");
  }
  return tree;
}

Result<> MapIds(int tree, int user_namespace) {
  mount_attr attributes{.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = static_cast<uint64_t>(user_namespace)};
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) != 0) {
    return FailErrno("cannot map the ids of a mount");
  }
  return {};
}

Result<> AttachTree(int tree, int place) {
  constexpr unsigned kByDescriptors = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (syscall(SYS_move_mount, tree, "", place, "", kByDescriptors) != 0) return FailErrno("cannot attach a mount");
  return {};
}

Result<> MakeReadOnly(int tree) {
  if (SetAttributes(tree, 0, MOUNT_ATTR_RDONLY) != 0) return FailErrno("cannot make a cloned mount read-only");
  return {};
}

Result<> MakePrivate(int tree) {
  if (SetAttributes(tree, AT_RECURSIVE, 0, MS_PRIVATE) != 0) return FailErrno("cannot make a cloned mount private");
  return {};
}

Result<SharedFiles> SharedFiles::Create(int directory, const std::string& selinux_context) {
  if (mkdirat(directory, kSharedFiles, 0700) != 0 && errno != EEXIST) return FailErrno("cannot make {}/", kSharedFiles);
  UniqueFd below = TRY(OpenBeneath(directory, kSharedFiles, O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string path = TRY(PathOfFd(below.get()));
  // The tmpfs has nothing but mount points.
  std::string options = "mode=0755,size=16m";
  if (!selinux_context.empty()) {
    // What ends the quotes would be another option.
    if (selinux_context.find('"') != std::string::npos) {
      return Fail(Code::kInvalidArgument, "linux.mountLabel is no label of SELinux");
    }
    options += fmt::format(",context=\"{}\"", selinux_context);
  }
  if (mount("kata-shared", FdPath(below.get()).c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return FailErrno("cannot mount a tmpfs at {}", path);
  }
  UniqueFd exported = TRY(OpenBeneath(directory, kSharedFiles, O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd writable = TRY(Clone(exported.get(), /*recursive=*/false));
  // MS_SHARED: later mounts propagate into the file server's own namespace, which is a slave of this one.
  if (mount(nullptr, FdPath(exported.get()).c_str(), nullptr, MS_SHARED, nullptr) != 0) {
    return FailErrno("cannot make the mount at {} shared", path);
  }
  if (SetAttributes(exported.get(), 0, MOUNT_ATTR_RDONLY) != 0) {
    return FailErrno("cannot make the mount at {} read-only", path);
  }
  return SharedFiles(std::move(path), std::move(exported), std::move(writable));
}

Result<> SharedFiles::MakeMountPoint(const std::string& name, bool dir) {
  size_t slash = name.rfind('/');
  if (slash != std::string::npos) TRY(MakeDirsInRoot(writable_.get(), name.substr(0, slash), 0755));
  if (dir) {
    if (mkdirat(writable_.get(), name.c_str(), 0755) != 0) return FailErrno("cannot make the mount point {}", name);
    return {};
  }
  UniqueFd file(openat(writable_.get(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return FailErrno("cannot make the mount point {}", name);
  return {};
}

Result<std::string> SharedFiles::Add(UniqueFd tree, const std::string& name, ReadOnly read_only) {
  struct stat status {};
  if (fstat(tree.get(), &status) != 0) return FailErrno("cannot look at what is shared as {}", name);
  // All attributes are set before the tree is attached: later changes do not reach the file server's namespace. nodev:
  // the guest must not open devices of the host, whatever the file server does.
  if (SetAttributes(tree.get(), AT_RECURSIVE, MOUNT_ATTR_NODEV) != 0) {
    return FailErrno("cannot forbid devices in what is shared as {}", name);
  }
  if (read_only != ReadOnly::kNo &&
      SetAttributes(tree.get(), read_only == ReadOnly::kRecursive ? AT_RECURSIVE : 0, MOUNT_ATTR_RDONLY) != 0) {
    return FailErrno("cannot make what is shared as {} read-only", name);
  }
  TRY(MakeMountPoint(name, S_ISDIR(status.st_mode)));
  if (MoveMount(tree.get(), exported_.get(), name.c_str()) != 0) {
    const int error = errno;
    (void)RemoveMountPoint(name, S_ISDIR(status.st_mode));
    return FailWith(error, "cannot share {}", name);
  }
  return fmt::format("{}/{}", contract::kSharedDir, name);
}

Result<> SharedFiles::Remove(const std::string& name) {
  UniqueFd mounted = TRY(OpenBeneath(exported_.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (fstat(mounted.get(), &status) != 0) return FailErrno("cannot look at the mount {}", name);
  if (umount2(FdPath(mounted.get()).c_str(), MNT_DETACH) != 0) return FailErrno("cannot unmount {}", name);
  mounted.Reset();
  return RemoveMountPoint(name, S_ISDIR(status.st_mode));
}

// Removes the mount point from the tmpfs itself, and only when it is empty, so that nothing of the mounted tree can be
// hit.
Result<> SharedFiles::RemoveMountPoint(const std::string& name, bool dir) {
  if (unlinkat(writable_.get(), name.c_str(), dir ? AT_REMOVEDIR : 0) != 0) {
    return FailErrno("cannot remove the mount point {}", name);
  }
  // Then the directories above it, unless they have other entries.
  for (std::string above = name; above.find('/') != std::string::npos;) {
    above.resize(above.rfind('/'));
    if (unlinkat(writable_.get(), above.c_str(), AT_REMOVEDIR) != 0) break;
  }
  return {};
}

}  // namespace kata::sandbox
