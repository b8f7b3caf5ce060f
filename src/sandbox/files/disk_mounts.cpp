// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/disk_mounts.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/files/guest_mounts.h"

namespace kata::sandbox {
namespace {

// File systems that the guest's kernel can mount from a disk. btrfs and the like are left out: several of their mounts
// share one device of the host.
constexpr std::string_view kOnDisk[] = {"ext2", "ext3", "ext4", "xfs", "erofs", "squashfs"};

// Options of a mount, not of its file system: a bind takes them.
constexpr std::string_view kOfMount[] = {
    "ro",      "rw",       "nosuid",      "suid",       "nodev",      "dev",      "noexec",      "exec",
    "noatime", "atime",    "relatime",    "norelatime", "nodiratime", "diratime", "strictatime", "nostrictatime",
    "private", "rprivate", "shared",      "rshared",    "slave",      "rslave",   "unbindable",  "runbindable",
    "rro",     "rrw",      "nosymfollow", "symfollow",  "rnosuid",    "rnodev",   "rnoexec",     "rnoatime"};

template <size_t N>
bool IsOneOf(const std::string_view (&words)[N], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// Whether an option only tells the host how to find the file system. An image file needs no loop device in the guest.
bool IsForHost(std::string_view option) { return option == "loop" || option == "defaults" || option.empty(); }

template <typename Options>
bool IsReadOnly(const Options& options) {
  bool read_only = false;
  for (const std::string& option : options) {
    if (option == "ro" || option == "rro") read_only = true;
    if (option == "rw" || option == "rrw") read_only = false;
  }
  return read_only;
}

// Turns the mount into a bind with the options of the mount; returns the options of the file system.
std::vector<std::string> BecomeBind(grpc::Mount& mount) {
  std::vector<std::string> others;
  grpc::Mount bind = mount;
  bind.set_type("bind");
  bind.clear_options();
  bind.add_options("bind");
  for (const std::string& option : mount.options()) {
    if (IsOneOf(kOfMount, option)) {
      bind.add_options(option);
    } else {
      others.push_back(option);
    }
  }
  mount = std::move(bind);
  return others;
}

}  // namespace

bool IsRootfsOnDisk(const RootfsMounts& mounts) {
  // Mapped ids are the host's business: the guest gets the files as the host shows them.
  const auto maps = [](std::string_view word) { return word.starts_with("uidmap=") || word.starts_with("gidmap="); };
  if (mounts.size() == 1 && std::any_of(mounts[0].options().begin(), mounts[0].options().end(), maps)) return false;
  return mounts.size() == 1 && IsOneOf(kOnDisk, mounts[0].type()) && mounts[0].target().empty() &&
         mounts[0].source().starts_with('/');
}

Result<> PutRootfsOnDisk(const RootfsMounts& mounts, ContainerDisks& disks, grpc::CreateContainerRequest& request) {
  const containerd::types::Mount& mount = mounts[0];
  DiskMount wanted{.field = "rootfs[0]", .path = mount.source(), .type = mount.type()};
  wanted.read_only = IsReadOnly(mount.options());
  for (const std::string& option : mount.options()) {
    if (!IsForHost(option) && option != "ro" && option != "rw") wanted.options.push_back(option);
  }
  grpc::Root& root = *request.mutable_oci()->mutable_root();
  if (wanted.read_only) root.set_readonly(true);
  root.set_path(TRY(disks.AddMount(std::move(wanted), request)));
  return {};
}

bool IsMountOnDisk(const grpc::Mount& mount) { return IsOneOf(kOnDisk, mount.type()) && !IsBind(mount); }

Result<> PutMountOnDisk(const std::string& field, const std::string& path, ContainerDisks& disks, grpc::Mount& mount,
                        grpc::CreateContainerRequest& request) {
  DiskMount wanted{.field = field, .path = path, .type = mount.type(), .read_only = IsReadOnly(mount.options())};
  for (std::string& option : BecomeBind(mount)) {
    if (!IsForHost(option)) wanted.options.push_back(std::move(option));
  }
  mount.set_source(TRY(disks.AddMount(std::move(wanted), request)));
  return {};
}

containerd::types::Mount TakeMountForHost(const std::string& path, grpc::Mount& mount) {
  containerd::types::Mount host;
  host.set_type(mount.type());
  host.set_source(path);
  if (IsReadOnly(mount.options())) host.add_options("ro");
  for (std::string& option : BecomeBind(mount)) host.add_options(std::move(option));
  return host;
}

}  // namespace kata::sandbox
