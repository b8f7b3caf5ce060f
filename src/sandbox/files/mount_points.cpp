// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/mount_points.h"

#include <sys/fsuid.h>
#include <sys/stat.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "sandbox/files/guest_mounts.h"

namespace kata::sandbox {
namespace {

// Turns "/dev/pts/" into "/dev/pts".
std::string_view WithoutSlash(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool IsBelow(std::string_view path, std::string_view above) {
  return path.starts_with(above) && (path.size() == above.size() || above == "/" || path[above.size()] == '/');
}

bool IsFileSource(const grpc::Mount& mount, const std::string& bundle) {
  struct stat status {};
  return IsBind(mount) && stat(SourcePath(mount, bundle).c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

// The id of the host that is 0 in a user namespace with these mappings.
uint32_t IdOfRoot(const google::protobuf::RepeatedPtrField<grpc::LinuxIDMapping>& mappings) {
  for (const grpc::LinuxIDMapping& mapping : mappings) {
    if (mapping.containerid() == 0) return mapping.hostid();
  }
  return 0;
}

// Makes files as the container's root and with its umask, as the guest and runc make them. Neither concerns other
// threads: who enters a mount namespace shares its umask with none (setns(2)).
class AsRootOfContainer {
 public:
  explicit AsRootOfContainer(const grpc::Linux& linux) : umask_(umask(022)) {
    setfsgid(IdOfRoot(linux.gidmappings()));
    setfsuid(IdOfRoot(linux.uidmappings()));
  }
  AsRootOfContainer(const AsRootOfContainer&) = delete;
  AsRootOfContainer& operator=(const AsRootOfContainer&) = delete;
  ~AsRootOfContainer() {
    setfsuid(0);
    setfsgid(0);
    umask(umask_);
  }

 private:
  mode_t umask_;
};

}  // namespace

bool CoversDevices(const grpc::Spec& spec) {
  const auto covered = [&spec](std::string_view path) {
    return std::any_of(spec.mounts().begin(), spec.mounts().end(),
                       [path](const grpc::Mount& mount) { return IsBelow(path, WithoutSlash(mount.destination())); });
  };
  return covered("/dev") && std::all_of(spec.linux().devices().begin(), spec.linux().devices().end(),
                                        [&](const grpc::LinuxDevice& device) { return covered(device.path()); });
}

Result<> MakeMountPoints(int rootfs, const grpc::Spec& spec, const std::string& bundle) {
  std::vector<std::string_view> covered;
  const auto make = [&](std::string_view path, bool is_file) {
    const auto is_above = [path](std::string_view mounted) { return IsBelow(path, mounted); };
    if (std::any_of(covered.begin(), covered.end(), is_above)) return;
    const AsRootOfContainer as_root(spec.linux());
    const auto made = is_file ? MakeFileInRoot(rootfs, path, 0755) : MakeDirsInRoot(rootfs, path, 0755);
    if (!made) log::Debug("mount point {}: {}", path, made.error().message());
  };
  for (const grpc::Mount& mount : spec.mounts()) {
    const std::string_view path = WithoutSlash(mount.destination());
    if (!path.starts_with('/')) continue;
    make(path, IsFileSource(mount, bundle));
    covered.push_back(path);
  }
  if (spec.process().cwd().starts_with('/')) make(WithoutSlash(spec.process().cwd()), /*is_file=*/false);
  return {};
}

}  // namespace kata::sandbox
