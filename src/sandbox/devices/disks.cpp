// SPDX-License-Identifier: Apache-2.0
#include "sandbox/devices/disks.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

std::string SysfsPath(DeviceNumber number) { return fmt::format("/sys/dev/block/{}:{}", number.major, number.minor); }

// The path of a device's node, from its uevent in sysfs: "MAJOR=8\nMINOR=0\nDEVNAME=sda\n...".
Result<std::string> NameOf(DeviceNumber number) {
  auto text = ReadFile(SysfsPath(number) + "/uevent", 4096);
  constexpr std::string_view kName = "\nDEVNAME=";
  const size_t at = text ? text->find(kName) : std::string::npos;
  if (at == std::string::npos) {
    return Fail(Code::kNotFound, "the host has no block device {}:{}", number.major, number.minor);
  }
  const size_t begin = at + kName.size();
  return "/dev/" + text->substr(begin, text->find('\n', begin) - begin);
}

Result<UniqueFd> Pin(const std::string& path) {
  UniqueFd pin = TRY(Open(path, O_PATH | O_CLOEXEC));
  struct stat status {};
  if (fstat(pin.get(), &status) != 0) return FailErrno("cannot look at {}", path);
  if (S_ISBLK(status.st_mode)) TRY(CheckNode(status, path));
  return pin;
}

// An error of AddBlockDevice in words that need no knowledge of the hypervisor.
Error InWords(Error error, const std::string& path) {
  if (error.code() == Code::kFailedPrecondition) {
    return Error(error.code(),
                 fmt::format("{} is in use by another virtual machine or process ({})", path, error.message()));
  }
  const bool full = error.code() == Code::kResourceExhausted;
  error.AddContext(full ? path + " cannot be plugged into the virtual machine" : path);
  return error;
}

// Opens the disk for the hypervisor. O_EXCL claims a device that is written to: if the host has mounted it, or another
// process has claimed it, the open fails, since two writers would destroy the data.
Result<UniqueFd> OpenForVm(const UniqueFd& pin, const std::string& path, bool is_device, bool read_only) {
  const int flags = read_only ? O_RDONLY : O_RDWR | (is_device ? O_EXCL : 0);
  auto file = Open(FdPath(pin.get()), flags);
  if (!file && file.error().sys() == EBUSY) {
    return Fail(Code::kFailedPrecondition,
                "{} is in use on the host (mounted, or part of another device): a container could only have it "
                "read-only",
                path);
  }
  if (!file) return FailWith(file.error().sys(), "cannot open {}", path);
  uint64_t size = 0;
  if (is_device && (ioctl(file->get(), BLKGETSIZE64, &size) != 0 || size == 0)) {
    return Fail(Code::kFailedPrecondition, "{} has no medium, or nothing is attached to it", path);
  }
  return file;
}

}  // namespace

Result<> CheckNode(const struct stat& node, const std::string& path) {
  struct stat dev {};
  if (stat("/dev", &dev) != 0) return FailErrno("cannot look at /dev");
  if (node.st_dev == dev.st_dev) return {};
  return Fail(Code::kPermissionDenied,
              "{} is a node of the block device {}:{} that is not in the host's /dev: a container may have made it",
              path, major(node.st_rdev), minor(node.st_rdev));
}

Result<ClaimedDisk> Disks::Claim(const std::string& path, bool read_only) {
  UniqueFd pin = TRY(spaces_.OnHost([&] { return Pin(path); }));
  return ClaimOpened(std::move(pin), path, read_only);
}

Result<ClaimedDisk> Disks::Claim(DeviceNumber number, bool read_only) {
  // Both in the host's namespace: this process's own may have no sysfs any more.
  std::string path;
  UniqueFd pin = TRY(spaces_.OnHost([&]() -> Result<UniqueFd> {
    path = TRY(NameOf(number));
    return Pin(path);
  }));
  struct stat status {};
  if (fstat(pin.get(), &status) != 0 || !S_ISBLK(status.st_mode) ||
      status.st_rdev != makedev(number.major, number.minor)) {
    return Fail(Code::kNotFound, "{} is not the block device {}:{}", path, number.major, number.minor);
  }
  return ClaimOpened(std::move(pin), path, read_only);
}

Result<bool> Disks::HostHas(DeviceNumber number) const {
  return spaces_.OnHost([&]() -> Result<bool> {
    struct stat status {};
    if (stat(SysfsPath(number).c_str(), &status) == 0) return true;
    if (errno == ENOENT) return false;
    return FailErrno("cannot look for the block device {}:{}", number.major, number.minor);
  });
}

Result<ClaimedDisk> Disks::ClaimOpened(UniqueFd pin, const std::string& path, bool read_only) {
  struct stat status {};
  if (fstat(pin.get(), &status) != 0) return FailErrno("cannot look at {}", path);
  const bool is_device = S_ISBLK(status.st_mode);
  // The file's own type decides, and nothing that a caller says about it.
  if (!is_device && !S_ISREG(status.st_mode)) {
    return Fail(Code::kInvalidArgument, "{} is neither a block device nor an image file", path);
  }
  if (!is_device && status.st_size == 0) return Fail(Code::kInvalidArgument, "{} is an empty file", path);
  const std::string key =
      is_device ? fmt::format("b{}", status.st_rdev) : fmt::format("f{}:{}", status.st_dev, status.st_ino);
  auto& disk = disks_[key];
  if (!disk) {
    disk = std::make_shared<Disk>(executor_);
    disk->path = path;
    disk->name = fmt::format("d{}", next_name_++);
    disk->pin = std::move(pin);
    disk->read_only = read_only;
    disk->is_device = is_device;
  } else if (disk->read_only && !read_only) {
    return Fail(Code::kFailedPrecondition,
                "{} is in the virtual machine read-only, for another container, and cannot be written to now", path);
  }
  ++disk->users;
  return ClaimedDisk{.key = key, .read_only = disk->read_only};
}

asio::awaitable<Result<hypervisor::GuestAddress>> Disks::Plug(std::string key) {
  auto self = shared_from_this();
  auto disk = disks_.at(key);
  const auto guard = co_await disk->lock.Acquire();
  if (!disk->plugged) CO_TRY(co_await PlugNow(disk));
  co_return disk->address;
}

asio::awaitable<Result<>> Disks::PlugNow(std::shared_ptr<Disk> disk) {
  hypervisor::BlockDevice device;
  device.id = disk->name;
  device.read_only = disk->read_only;
  CO_TRY_ASSIGN(device.file, OpenForVm(disk->pin, disk->path, disk->is_device, disk->read_only));
  auto address = co_await vm_->AddBlockDevice(std::move(device));
  if (!address) co_return tl::unexpected<Error>(InWords(std::move(address).error(), disk->path));
  disk->address = *std::move(address);
  disk->plugged = true;
  log::Info("{} is the disk {} {} of the guest", disk->path, disk->address.driver, disk->address.address);
  co_return Result<>();
}

asio::awaitable<void> Disks::Release(std::string key) {
  auto self = shared_from_this();
  auto disk = disks_.at(key);
  --disk->users;
  const auto guard = co_await disk->lock.Acquire();
  // Another container may have claimed the disk while this waited for the lock.
  if (disk->users == 0 && disk->plugged) {
    auto gone = co_await vm_->RemoveBlockDevice(disk->name);
    if (gone) disk->plugged = false;
    if (!gone) log::Warn("{} stays in the virtual machine: {}", disk->path, gone.error().message());
  }
  const auto found = disks_.find(key);
  if (disk->users == 0 && !disk->plugged && found != disks_.end() && found->second == disk) disks_.erase(found);
}

}  // namespace kata::sandbox
