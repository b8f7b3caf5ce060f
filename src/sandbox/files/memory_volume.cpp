// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/memory_volume.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "base/files.h"
#include "protocol/guest_contract.h"
#include "sandbox/host/host_mounts.h"

namespace kata::sandbox {
namespace {

// The kubelet's paths: .../pods/UID/volumes/kubernetes.io~empty-dir/VOLUME, and for a subPath of any volume
// .../pods/UID/volume-subpaths/VOLUME/CONTAINER/NUMBER.
constexpr std::string_view kEmptyDir = "/volumes/kubernetes.io~empty-dir/";
constexpr std::string_view kSubPaths = "/volume-subpaths/";

// A volume's name is a DNS label; any other name is not the kubelet's.
bool IsName(std::string_view name) {
  constexpr size_t kLongest = 63;
  return !name.empty() && name.size() <= kLongest &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

// The owner and mode of the volume. The kubelet has set its group to the pod's (fsGroup).
std::vector<std::string> OwnerOptions(const struct stat& status) {
  return {fmt::format("mode={:o}", status.st_mode & 07777U), fmt::format("uid={}", status.st_uid),
          fmt::format("gid={}", status.st_gid)};
}

// The volume in `directory` as a whole.
Result<std::optional<MemoryVolume>> Whole(int directory, const std::string& name) {
  struct statfs filesystem {};
  struct stat status {};
  if (fstatfs(directory, &filesystem) != 0 || fstat(directory, &status) != 0) return FailErrno("cannot look at it");
  std::vector<std::string> options = OwnerOptions(status);
  if (const uint64_t size = FilesystemSize(directory); size > 0) options.push_back(fmt::format("size={}", size));
  const char* type = nullptr;
  if (filesystem.f_type == TMPFS_MAGIC) type = "tmpfs";
  if (filesystem.f_type == HUGETLBFS_MAGIC) {
    type = "hugetlbfs";
    options.push_back(fmt::format("pagesize={}", filesystem.f_bsize));
  }
  if (type == nullptr) return std::nullopt;
  MemoryVolume volume{.storages = {}, .path = fmt::format("{}/{}", contract::kEphemeralDir, name)};
  volume.storages.push_back(MemoryStorage(type, volume.path, options));
  return volume;
}

// A subPath: a directory of the volume's file system, which the kubelet has bound to the place of the source.
Result<std::optional<MemoryVolume>> Part(int source, const std::string& volume_path, const std::string& name) {
  const auto directory = Open(volume_path, O_PATH | O_DIRECTORY);
  if (!directory) return std::nullopt;  // the volume is of another kind
  struct stat status {};
  struct stat whole {};
  if (fstat(source, &status) != 0 || fstat(directory->get(), &whole) != 0) return FailErrno("cannot look at it");
  if (status.st_dev != whole.st_dev || !S_ISDIR(status.st_mode)) return std::nullopt;
  auto volume = TRY(Whole(directory->get(), name));
  if (!volume) return std::nullopt;
  const std::string root = TRY(RootOfMount(source));
  if (!root.starts_with('/') || root.ends_with("//deleted")) return std::nullopt;
  if (root == "/") return volume;
  volume->path += root;
  grpc::Storage part;
  part.set_driver(contract::kLocalDriver);
  part.set_source("local");
  part.set_fstype("local");
  part.set_mount_point(volume->path);
  part.add_options(fmt::format("mode={:o}", status.st_mode & 07777U));
  volume->storages.push_back(std::move(part));
  return volume;
}

}  // namespace

uint64_t FilesystemSize(int fd) {
  struct statvfs filesystem {};
  if (fstatvfs(fd, &filesystem) != 0) return 0;
  return static_cast<uint64_t>(filesystem.f_blocks) * filesystem.f_frsize;
}

grpc::Storage MemoryStorage(const char* fstype, std::string mount_point, const std::vector<std::string>& options) {
  grpc::Storage storage;
  storage.set_driver(contract::kEphemeralDriver);
  storage.set_source(fstype);
  storage.set_fstype(fstype);
  storage.set_mount_point(std::move(mount_point));
  for (const std::string& option : options) storage.add_options(option);
  return storage;
}

Result<MemoryVolume> SharedMemoryAt(int source) {
  struct stat status {};
  if (fstat(source, &status) != 0) return FailErrno("cannot look at the shared memory");
  std::vector<std::string> options = {"nosuid", "noexec", "nodev"};
  for (std::string& option : OwnerOptions(status)) options.push_back(std::move(option));
  options.push_back(fmt::format("size={}", FilesystemSize(source)));
  MemoryVolume volume{.storages = {},
                      .path = fmt::format("{}/shm-{}-{}", contract::kEphemeralDir, status.st_dev, status.st_ino)};
  volume.storages.push_back(MemoryStorage("tmpfs", volume.path, options));
  return volume;
}

Result<std::optional<MemoryVolume>> MemoryVolumeAt(int source, const std::string& path) {
  if (const size_t at = path.rfind(kEmptyDir); at != std::string::npos) {
    const std::string name = path.substr(at + kEmptyDir.size());
    if (IsName(name)) return Whole(source, name);
  }
  if (const size_t at = path.rfind(kSubPaths); at != std::string::npos) {
    const size_t begin = at + kSubPaths.size();
    const std::string name = path.substr(begin, path.find('/', begin) - begin);
    if (IsName(name)) return Part(source, path.substr(0, at).append(kEmptyDir) + name, name);
  }
  return std::nullopt;
}

}  // namespace kata::sandbox
