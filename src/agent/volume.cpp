// SPDX-License-Identifier: Apache-2.0
#include "agent/volume.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

namespace kata::agent {

namespace {

// EXT4_IOC_RESIZE_FS of the kernel's fs/ext4/ext4.h. The argument is the new number of blocks of the file system.
constexpr unsigned long kExt4Resize = _IOW('f', 16, uint64_t);

Result<UniqueFd> OpenVolume(const GuestDir& root, const std::string& path, struct statfs* info) {
  auto directory = TRY(Context(root.OpenExisting(path, O_RDONLY | O_DIRECTORY), "volume {}", path));
  if (fstatfs(directory.get(), info) < 0) return FailErrno("cannot look at the volume {}", path);
  return directory;
}

void Add(grpc::VolumeStatsResponse* reply, grpc::VolumeUsage::Unit unit, uint64_t total, uint64_t free,
         uint64_t available) {
  auto* usage = reply->add_usage();
  usage->set_unit(unit);
  usage->set_total(total);
  usage->set_used(total - std::min(free, total));
  usage->set_available(available);
}

}  // namespace

Result<grpc::VolumeStatsResponse> VolumeStats(const GuestDir& root, const std::string& path) {
  struct statfs info {};
  TRY(OpenVolume(root, path, &info));
  grpc::VolumeStatsResponse reply;
  const auto block = static_cast<uint64_t>(info.f_frsize);
  Add(&reply, grpc::VolumeUsage::BYTES, info.f_blocks * block, info.f_bfree * block, info.f_bavail * block);
  Add(&reply, grpc::VolumeUsage::INODES, info.f_files, info.f_ffree, info.f_ffree);
  reply.mutable_volume_condition()->set_abnormal(false);
  return reply;
}

Result<> ResizeVolume(const GuestDir& root, const std::string& path, uint64_t size) {
  struct statfs info {};
  const auto directory = TRY(OpenVolume(root, path, &info));
  if (info.f_type != EXT4_SUPER_MAGIC) {
    return Fail(Code::kUnimplemented,
                "volume {}: only an ext4 file system can be resized, this one has the magic {:#x}", path, info.f_type);
  }
  const uint64_t blocks = size / static_cast<uint64_t>(info.f_frsize);
  if (::ioctl(directory.get(), kExt4Resize, &blocks) < 0) {
    return FailErrno("cannot resize the volume {} to {} bytes", path, size);
  }
  return {};
}

}  // namespace kata::agent
