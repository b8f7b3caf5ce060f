// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/guest_mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/files.h"
#include "base/log.h"
#include "protocol/guest_contract.h"
#include "sandbox/devices/guest_devices.h"
#include "sandbox/files/disk_mounts.h"
#include "sandbox/files/memory_volume.h"
#include "sandbox/files/mount_points.h"
#include "sandbox/files/rootfs_mounts.h"
#include "sandbox/host/host_mounts.h"

namespace kata::sandbox {
namespace {

constexpr size_t kMaxResolvConf = 64U << 10U;
constexpr size_t kMaxBasename = 64;
constexpr uint64_t kDefaultShm = 64U << 20U;

bool HasOption(const grpc::Mount& mount, std::string_view option) {
  return std::find(mount.options().begin(), mount.options().end(), option) != mount.options().end();
}

// The last component of the path, in characters that need no quoting. It only helps people who look at mounts.
std::string TameBasename(const std::string& path) {
  std::string name = path.substr(path.find_last_of('/') + 1).substr(0, kMaxBasename);
  for (char& c : name) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  return name.empty() ? "root" : name;
}

// Whether a source means the guest's own file of that name, because the host's has no meaning in the guest: devices,
// and files of proc, sysfs, cgroup and similar file systems.
Result<bool> IsGuestsOwn(int source, const std::string& real_path) {
  struct stat status {};
  struct statfs filesystem {};
  if (fstat(source, &status) != 0 || fstatfs(source, &filesystem) != 0)
    return FailErrno("cannot look at {}", real_path);
  if (S_ISCHR(status.st_mode)) {
    if (IsCharDeviceOfGuests({major(status.st_rdev), minor(status.st_rdev)})) return true;
    return Fail(Code::kInvalidArgument,
                "{} is a character device of the host, and a virtual machine has no such device", real_path);
  }
  if (real_path == "/dev" || real_path == "/dev/pts") return true;
  // A directory of device nodes, such as /dev/dri. A file system mounted below /dev, such as /dev/shm, does not count.
  struct stat dev {};
  if (S_ISDIR(status.st_mode) && real_path.starts_with("/dev/") && stat("/dev", &dev) == 0 &&
      dev.st_dev == status.st_dev) {
    return true;
  }
  switch (filesystem.f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
      return true;
    default:
      return false;
  }
}

// Whether a bind gives the container the host's shared memory. A directory of a disk at /dev/shm is data, which is
// shared as usual.
Result<bool> IsHostShm(const grpc::Mount& mount, int source) {
  struct statfs filesystem {};
  if (mount.destination() != "/dev/shm") return false;
  if (fstatfs(source, &filesystem) != 0) return FailErrno("cannot see its file system");
  return filesystem.f_type == TMPFS_MAGIC;
}

// How the source of a bind is provided to the guest.
struct Source {
  UniqueFd tree;                        // the tree to share
  std::string guest;                    // the guest's own file of this name; empty: share the tree
  std::vector<grpc::Storage> storages;  // for `guest`, to be made in the guest
  std::optional<DeviceNumber> disk;     // a block device
};

// "ro" applies to the mount itself and not to the mounts below it. In the guest all of them are one file system, for
// which "ro" would apply as a whole. So in this case the host alone enforces it.
Result<> KeepMountsBelowWritable(int tree, const std::string& path, grpc::Mount& mount) {
  if (ReadOnlyOf(mount) != ReadOnly::kTop || !IsRecursive(mount) || !TRY(HasMountsBelow(path))) return {};
  TRY(MakeReadOnly(tree));
  auto& options = *mount.mutable_options();
  options.erase(std::remove(options.begin(), options.end(), "ro"), options.end());
  return {};
}

// To be called in the host's mount namespace.
Result<Source> LookAtSource(const std::string& path, bool pod, const grpc::LinuxResources& resources,
                            grpc::Mount& mount) {
  UniqueFd file = TRY(Open(path, O_PATH | O_CLOEXEC));
  std::string real_path = TRY(PathOfFd(file.get()));
  Source source;
  if (pod && (HasOption(mount, "rshared") || HasOption(mount, "shared"))) {
    return Fail(Code::kInvalidArgument,
                "{}: what is mounted in a virtual machine cannot appear on the host (mountPropagation: Bidirectional)",
                path);
  }
  if (TRY(IsHostShm(mount, file.get()))) {
    source.guest = contract::kShmDir;
    if (!pod) {
      MemoryVolume shm = TRY(SharedMemoryAt(file.get()));
      source.guest = std::move(shm.path);
      source.storages = std::move(shm.storages);
    }
    // The owner is that in the guest already.
    mount.clear_uidmappings();
    mount.clear_gidmappings();
    return source;
  }
  if (pod) {
    if (auto volume = TRY(MemoryVolumeAt(file.get(), real_path))) {
      source.guest = std::move(volume->path);
      source.storages = std::move(volume->storages);
      return source;
    }
  }
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return FailErrno("cannot look at {}", path);
  // A path alone gives no access to a disk: whoever can write to a shared directory could have made a link to a device
  // there. Without a rule the container gets what runc gives it, a node that cannot be opened.
  const DeviceNumber number{major(status.st_rdev), minor(status.st_rdev)};
  if (S_ISBLK(status.st_mode) && !MayRead(resources, number)) {
    log::Warn("{} is a block device that no rule of linux.resources.devices lets the container read", path);
  } else if (S_ISBLK(status.st_mode)) {
    TRY(CheckNode(status, path));
    source.disk = number;
    return source;
  } else if (TRY(IsGuestsOwn(file.get(), real_path))) {
    source.guest = real_path;
    return source;
  }
  if (S_ISSOCK(status.st_mode)) {
    log::Warn("{} is a socket: it is shared with the guest, but nothing there can connect to it", path);
  }
  source.tree = TRY(CloneTree(file.get(), IsRecursive(mount)));
  if (HasOption(mount, "rprivate") || HasOption(mount, "private")) TRY(MakePrivate(source.tree.get()));
  TRY(KeepMountsBelowWritable(source.tree.get(), real_path, mount));
  return source;
}

// Adds the node of a block device; the mount then binds the node from the guest's /dev.
Result<> BindDisk(DeviceNumber number, const std::string& field, ContainerDisks& disks, grpc::Mount& mount,
                  grpc::CreateContainerRequest& request) {
  grpc::Linux& section = *request.mutable_oci()->mutable_linux();
  DiskNode node{.field = field, .path = mount.destination(), .number = number};
  node.read_only = ReadOnlyOf(mount) != ReadOnly::kNo || !MayWrite(section.resources(), number);
  mount.set_source(TRY(disks.AddNode(std::move(node), request)));
  // Tells the agent the host's numbers of this device, which the device rules have.
  grpc::LinuxDevice& device = *section.add_devices();
  device.set_path(mount.destination());
  device.set_type("b");
  device.set_major(number.major);
  device.set_minor(number.minor);
  return {};
}

// What the functions below need to share one container's mounts.
struct Sharing {
  SharedFiles& shared;
  const MountNamespaces& spaces;
  const HostFiles& files;
  grpc::CreateContainerRequest& request;
  ContainerDisks& disks;
  SharedNames& names;
};

Result<> ShareTree(const Sharing& with, UniqueFd tree, std::string name, grpc::Mount& mount) {
  mount.set_source(TRY(with.shared.Add(std::move(tree), name, ReadOnlyOf(mount))));
  with.names.push_back(std::move(name));
  return {};
}

Result<> ShareMount(const Sharing& with, const std::string& name, const std::string& field, grpc::Mount& mount) {
  const std::string path = SourcePath(mount, with.files.bundle);
  const std::string shared_name = name + TameBasename(path);
  if (IsMountOnDisk(mount)) {
    if (with.disks.allowed()) return PutMountOnDisk(field, path, with.disks, mount, with.request);
    RootfsMounts host;
    *host.Add() = TakeMountForHost(path, mount);
    // Any directory would do as the mount point: the mount is visible nowhere.
    UniqueFd tree = TRY(Context(MountRootfs(host, with.files.rootfs, with.spaces), "{}", field));
    return Context(ShareTree(with, std::move(tree), shared_name, mount), "{}", field);
  }
  if (!IsBind(mount)) return {};
  const grpc::LinuxResources& resources = with.request.oci().linux().resources();
  Source source = TRY(
      Context(with.spaces.OnHost([&] { return LookAtSource(path, with.files.pod, resources, mount); }), "{}", field));
  if (source.disk) return BindDisk(*source.disk, field, with.disks, mount, with.request);
  for (grpc::Storage& storage : source.storages) *with.request.add_storages() = std::move(storage);
  if (!source.guest.empty()) {
    mount.set_source(source.guest);
    return {};
  }
  return Context(ShareTree(with, std::move(source.tree), shared_name, mount), "{}", field);
}

Result<UniqueFd> CloneDirectory(const std::string& path) {
  UniqueFd directory = TRY(Open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  return CloneTree(directory.get(), /*recursive=*/true);
}

}  // namespace

bool IsRecursive(const grpc::Mount& mount) { return HasOption(mount, "rbind"); }

bool IsBind(const grpc::Mount& mount) {
  return mount.type() == "bind" || HasOption(mount, "bind") || HasOption(mount, "rbind");
}

std::string SourcePath(const grpc::Mount& mount, const std::string& bundle) {
  return mount.source().starts_with('/') ? mount.source() : bundle + "/" + mount.source();
}

// Later options win, as in mount(8), but "ro" does not weaken an earlier "rro".
ReadOnly ReadOnlyOf(const grpc::Mount& mount) {
  ReadOnly read_only = ReadOnly::kNo;
  for (const std::string& option : mount.options()) {
    if (option == "ro" && read_only == ReadOnly::kNo) read_only = ReadOnly::kTop;
    if (option == "rro") read_only = ReadOnly::kRecursive;
    if (option == "rw" || option == "rrw") read_only = ReadOnly::kNo;
  }
  return read_only;
}

Result<> ShareWithGuest(SharedFiles& shared, const MountNamespaces& spaces, const std::string& container,
                        HostFiles files, grpc::CreateContainerRequest& request, ContainerDisks& disks,
                        SharedNames& names) {
  grpc::Spec& spec = *request.mutable_oci();
  if (!files.rootfs_on_disk) {
    UniqueFd root = std::move(files.rootfs_tree);
    if (!root) root = TRY(Context(spaces.OnHost([&] { return CloneDirectory(files.rootfs); }), "root.path"));
    std::string root_name = container + "/rootfs";
    // A compromised guest could write in spite of its own read-only mount, so the host's mount is read-only as well.
    // The mount points that the guest would make in the rootfs are therefore made beforehand.
    const bool read_only = spec.root().readonly() && CoversDevices(spec);
    if (read_only) {
      TRY(Context(spaces.OnHost([&] { return MakeMountPoints(root.get(), spec, files.bundle); }), "root.path"));
    }
    const ReadOnly mode = read_only ? ReadOnly::kTop : ReadOnly::kNo;
    spec.mutable_root()->set_path(TRY(Context(shared.Add(std::move(root), root_name, mode), "root.path")));
    names.push_back(root_name);
  }
  const Sharing with{shared, spaces, files, request, disks, names};
  for (int i = 0; i < spec.mounts_size(); ++i) {
    const std::string name = fmt::format("{}-{}-", container, i);
    TRY(ShareMount(with, name, fmt::format("mounts[{}].source", i), *spec.mutable_mounts(i)));
  }
  return {};
}

grpc::Storage PodShm(const grpc::Spec& spec, const std::string& bundle) {
  uint64_t size = kDefaultShm;
  for (const grpc::Mount& mount : spec.mounts()) {
    if (mount.destination() != "/dev/shm" || !IsBind(mount)) continue;
    const auto source = Open(SourcePath(mount, bundle), O_PATH | O_CLOEXEC);
    if (source && FilesystemSize(source->get()) > 0) size = FilesystemSize(source->get());
  }
  return MemoryStorage("tmpfs", contract::kShmDir,
                       {"nosuid", "noexec", "nodev", "mode=1777", fmt::format("size={}", size)});
}

void JoinPodShm(grpc::Spec& spec) {
  for (grpc::Mount& mount : *spec.mutable_mounts()) {
    if (mount.destination() != "/dev/shm" || mount.type() != "tmpfs") continue;
    mount.set_type("bind");
    mount.set_source(contract::kShmDir);
    mount.clear_options();
    for (const char* option : {"rbind", "nosuid", "noexec", "nodev"}) mount.add_options(option);
  }
}

std::string ResolvConfOf(const grpc::Spec& spec, const std::string& bundle) {
  std::string path;
  for (const grpc::Mount& mount : spec.mounts()) {
    if (mount.destination() == "/etc/resolv.conf" && IsBind(mount)) path = SourcePath(mount, bundle);
  }
  return path;
}

Result<std::vector<std::string>> DnsOf(const std::string& resolv_conf) {
  std::vector<std::string> lines;
  if (resolv_conf.empty()) return lines;
  const std::string text = TRY(ReadRegularFile(resolv_conf, kMaxResolvConf));
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace kata::sandbox
