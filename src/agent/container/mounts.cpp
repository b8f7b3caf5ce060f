// SPDX-License-Identifier: Apache-2.0
#include "agent/container/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/container/base_root.h"
#include "agent/container/id_mapping.h"
#include "agent/container/mount_api.h"
#include "base/files.h"

namespace kata::agent {

namespace {

// Filesystems without a device. They are made inside the container's namespaces, because they show these namespaces or
// must belong to the container's users.
constexpr std::array<std::string_view, 16> kWithoutDevice = {
    "proc",    "sysfs",   "tmpfs", "ramfs",   "devpts",      "mqueue",    "cgroup",     "cgroup2",
    "debugfs", "tracefs", "bpf",   "fusectl", "binfmt_misc", "hugetlbfs", "securityfs", "configfs"};

// Whether FinishMounts makes the mount read-only: devices and mount points are made in /dev and in any tmpfs before (as
// runc).
bool IsReadOnlyLater(const grpc::Mount& mount, const MountOptions& options) {
  if (options.bind || (options.set & MOUNT_ATTR_RDONLY) == 0) return false;
  return mount.type() == "tmpfs" || IsDev(mount.destination());
}

bool IsCgroup(const grpc::Mount& mount) { return mount.type() == "cgroup" || mount.type() == "cgroup2"; }

Result<bool> IsFile(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return FailErrno("cannot look at the source");
  return !S_ISDIR(info.st_mode);
}

// The only files of procfs on which a spec may mount something: they show numbers and control nothing (as runc).
bool MayCoverProc(std::string_view path) {
  constexpr std::array<std::string_view, 10> kAllowed = {
      "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo",  "/proc/stat",    "/proc/swaps",
      "/proc/uptime",  "/proc/loadavg",   "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid"};
  return std::find(kAllowed.begin(), kAllowed.end(), path) != kAllowed.end();
}

// The path of fd inside the container's root.
Result<std::string> PathInRoot(int fd) {
  const std::string real = TRY(PathOfFd(fd));
  std::string_view path = real;
  if (!path.starts_with(kContainerRoot)) return Fail(Code::kPermissionDenied, "{} is outside of the root", path);
  path.remove_prefix(std::string_view(kContainerRoot).size());
  return std::string(path.empty() ? "/" : path);
}

// Opens the mount point, and makes it if it is missing.
Result<UniqueFd> MountPoint(const grpc::Mount& mount, bool is_file, int root) {
  const std::string& destination = mount.destination();
  UniqueFd target =
      is_file ? TRY(MakeFileInRoot(root, destination, 0755)) : TRY(MakeDirsInRoot(root, destination, 0755));
  if (mount.type() == "proc" || mount.type() == "sysfs") {
    // With a symbolic link here, the image could have procfs mounted elsewhere, and a directory of its own in the place
    // of /proc (CVE-2019-19921, CVE-2023-27561).
    std::string_view path = destination;
    while (path.starts_with('/')) path.remove_prefix(1);
    // The tests of engines expect runc's message.
    target = TRY(Context(OpenBeneath(root, path, O_PATH | O_DIRECTORY), "{} must be mounted on ordinary directory",
                         mount.type()));
  } else if (IsOnFilesystem(target.get(), PROC_SUPER_MAGIC)) {
    const std::string path = TRY(PathInRoot(target.get()));
    if (!MayCoverProc(path)) return Fail(Code::kInvalidArgument, "{} is inside /proc", path);
  }
  return target;
}

// Gives a new tmpfs the mode of the directory that it covers, if covers says that this existed before, and with
// tmpcopyup its content.
Result<> FillTmpfs(const MountOptions& options, int tree, int target, bool covers) {
  struct stat covered {};
  if (fstat(target, &covered) != 0) return FailErrno("cannot look at the mount point");
  const bool has_mode = std::any_of(options.data.begin(), options.data.end(),
                                    [](const std::string& option) { return option.starts_with("mode="); });
  const UniqueFd directory(openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return FailErrno("cannot open the new tmpfs");
  if (covers && !has_mode && fchmod(directory.get(), covered.st_mode & 07777U) != 0)
    return FailErrno("cannot set the tmpfs's mode");
  if (!options.copy_up) return {};
  const UniqueFd source(openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source) return FailErrno("tmpcopyup: cannot open the directory");
  uint64_t limit = uint64_t{1} << 30U;
  return Context(CopyTree(source.get(), directory.get(), &limit), "tmpcopyup");
}

// The attributes with which a new filesystem is mounted. Read-only is set later, because a tmpfs may have to be filled.
uint64_t FirstAttributes(const MountOptions& options) { return options.set & ~uint64_t{MOUNT_ATTR_RDONLY}; }

Result<UniqueFd> MakeTree(const grpc::Mount& mount, const MountOptions& options) {
  const std::string type = IsCgroup(mount) ? "cgroup2" : mount.type();
  const std::string source = mount.source().empty() ? type : mount.source();
  // cgroup2 gets no options: those of a spec may be for cgroup v1 (names of controllers).
  auto tree = NewFilesystem(type, source, IsCgroup(mount) ? std::vector<std::string>() : options.data,
                            FirstAttributes(options));
  if (!tree && type == "sysfs" && (tree.error().sys() == EPERM)) {
    // sysfs cannot be mounted in a user namespace that does not own the network namespace. The container gets the
    // guest's sysfs instead, read-only.
    UniqueFd view = TRY(CloneMount(AT_FDCWD, "/sys", /*recursive=*/false));
    TRY(SetMountAttributes(view.get(), /*recursive=*/false, FirstAttributes(options) | MOUNT_ATTR_RDONLY, 0));
    return view;
  }
  return tree;
}

Result<> MakeOne(const grpc::Mount& mount, PreparedMount& prepared, int root) {
  const MountOptions& options = prepared.options;
  const bool made_here = !prepared.tree;
  if (made_here) prepared.tree = TRY(MakeTree(mount, options));
  const int tree = prepared.tree.get();
  const bool is_tmpfs = made_here && mount.type() == "tmpfs";
  const bool covers = is_tmpfs && OpenInRoot(root, mount.destination(), O_PATH | O_DIRECTORY).has_value();
  const UniqueFd target = TRY(Context(MountPoint(mount, prepared.is_file, root), "the mount point"));
  if (is_tmpfs) TRY(FillTmpfs(options, tree, target.get(), covers));
  const uint64_t set = IsReadOnlyLater(mount, options) ? FirstAttributes(options) : options.set;
  if ((set | options.clear) != 0) TRY(SetMountAttributes(tree, /*recursive=*/false, set, options.clear));
  if ((options.recursive_set | options.recursive_clear) != 0) {
    TRY(SetMountAttributes(tree, /*recursive=*/true, options.recursive_set, options.recursive_clear));
  }
  TRY(AttachMount(tree, target.get()));
  // Propagation is set after attaching, because a mount that is attached to a shared mount becomes shared.
  for (const auto& propagation : options.propagation) {
    TRY(SetMountAttributes(tree, propagation.recursive, 0, 0, propagation.type));
  }
  return {};
}

// Without mappings of its own, the mount has those of the container (runtime-spec, "Linux mount options").
Result<> MapIds(const grpc::Mount& mount, const grpc::Linux& linux, const PreparedMount& prepared) {
  const bool own = !mount.uidmappings().empty() || !mount.gidmappings().empty();
  const UniqueFd mapped =
      TRY(own ? MakeUserNamespace("", ToIdMap(mount.uidmappings()), ToIdMap(mount.gidmappings()))
              : MakeUserNamespace("linux.", ToIdMap(linux.uidmappings()), ToIdMap(linux.gidmappings())));
  return MapMountIds(prepared.tree.get(), prepared.options.id_mapped_below, mapped.get());
}

Result<PreparedMount> PrepareOne(const grpc::Mount& mount, const std::string& cgroup, bool own_cgroup_namespace) {
  PreparedMount prepared;
  prepared.options = TRY(ParseMountOptions(mount));
  if (mount.destination().empty()) return Fail(Code::kInvalidArgument, "the destination is empty");
  const MountOptions& options = prepared.options;
  if (options.bind) {
    prepared.tree = TRY(Context(CloneMount(AT_FDCWD, mount.source(), options.recursive), "the source"));
    prepared.is_file = TRY(IsFile(prepared.tree.get()));
  } else if (IsCgroup(mount) && !own_cgroup_namespace) {
    prepared.tree = TRY(CloneMount(AT_FDCWD, cgroup, /*recursive=*/false));
  } else if (std::find(kWithoutDevice.begin(), kWithoutDevice.end(), mount.type()) == kWithoutDevice.end()) {
    std::vector<std::string> data = options.data;
    const bool read_only = (options.set & MOUNT_ATTR_RDONLY) != 0 && !IsReadOnlyLater(mount, options);
    if (read_only) data.insert(data.begin(), "ro");
    prepared.tree = TRY(NewFilesystem(mount.type(), mount.source(), data, FirstAttributes(options)));
    prepared.is_file = TRY(IsFile(prepared.tree.get()));
  }
  return prepared;
}

}  // namespace

Result<std::vector<PreparedMount>> PrepareMounts(const grpc::Spec& spec, const std::string& cgroup,
                                                 bool own_cgroup_namespace) {
  std::vector<PreparedMount> all;
  all.reserve(spec.mounts_size());
  for (int i = 0; i < spec.mounts_size(); ++i) {
    const grpc::Mount& mount = spec.mounts(i);
    const auto where = fmt::format("mounts[{}] (\"{}\" at {})", i, mount.source(), mount.destination());
    all.push_back(TRY(Context(PrepareOne(mount, cgroup, own_cgroup_namespace), "{}", where)));
    if (all.back().options.id_mapped) TRY(Context(MapIds(mount, spec.linux(), all.back()), "{}", where));
  }
  return all;
}

Result<> MakeMounts(const grpc::Spec& spec, std::vector<PreparedMount>& prepared, int root) {
  for (int i = 0; i < spec.mounts_size(); ++i) {
    TRY(Context(MakeOne(spec.mounts(i), prepared[static_cast<size_t>(i)], root), "mounts[{}] (\"{}\" at {})", i,
                spec.mounts(i).source(), spec.mounts(i).destination()));
  }
  return {};
}

Result<> FinishMounts(const grpc::Spec& spec, const std::vector<PreparedMount>& made) {
  for (int i = 0; i < spec.mounts_size(); ++i) {
    const PreparedMount& mount = made[static_cast<size_t>(i)];
    if (!IsReadOnlyLater(spec.mounts(i), mount.options)) continue;
    TRY(Context(SetMountAttributes(mount.tree.get(), /*recursive=*/false, MOUNT_ATTR_RDONLY, 0),
                "mounts[{}] ({}): read-only", i, spec.mounts(i).destination()));
  }
  return {};
}

}  // namespace kata::agent
