// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/drivers.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>

#include "agent/storage/fs_group.h"
#include "agent/storage/overlay.h"
#include "agent/storage/storage.h"
#include "agent/storage/storage_options.h"
#include "base/files.h"
#include "protocol/guest_contract.h"

namespace kata::agent {

namespace {

std::vector<std::string> Options(const grpc::Storage& storage) {
  return {storage.options().begin(), storage.options().end()};
}

// Mounts a new file system at the storage's mount point.
Result<> MountNew(const GuestDir& root, const grpc::Storage& storage, const std::string& fstype,
                  const StorageOptions& options) {
  const auto target = TRY(root.MakeDirs(storage.mount_point(), 0755));
  if (::mount(storage.source().c_str(), FdPath(target.get()).c_str(), fstype.c_str(), options.flags,
              options.data.c_str()) < 0) {
    return FailErrno("cannot mount {} \"{}\" at {} with options \"{}\"", fstype, storage.source(),
                     storage.mount_point(), options.data);
  }
  return {};
}

Result<> NoGroup(const grpc::Storage& storage) {
  if (!storage.has_fs_group()) return {};
  return Fail(Code::kUnimplemented, "storage {}: fs_group is not for the driver {}", storage.mount_point(),
              storage.driver());
}

Result<> MakeVirtioFs(const GuestDir& root, const grpc::Storage& storage) {
  TRY(NoGroup(storage));
  return MountNew(root, storage, "virtiofs", ParseStorageOptions(Options(storage)));
}

Result<> Make9p(const GuestDir& root, const grpc::Storage& storage) {
  TRY(NoGroup(storage));
  auto options = ParseStorageOptions(Options(storage));
  for (const char* needed : {"trans=virtio", "version=9p2000.L"}) {
    const std::string_view word(needed);
    if (options.data.find(word.substr(0, word.find('=') + 1)) != std::string::npos) continue;
    if (!options.data.empty()) options.data += ',';
    options.data += word;
  }
  return MountNew(root, storage, "9p", options);
}

// Parses "2M", "1GB" or "4096"; returns bytes.
std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.ends_with('B')) unit.remove_suffix(1);
  int shift = 0;
  if (unit == "K" || unit == "k") {
    shift = 10;
  } else if (unit == "M" || unit == "m") {
    shift = 20;
  } else if (unit == "G" || unit == "g") {
    shift = 30;
  } else if (!unit.empty()) {
    return std::nullopt;
  }
  if (number > (UINT64_MAX >> shift)) return std::nullopt;
  return number << shift;
}

// Grows the kernel's pool of huge pages by the size of the storage, since hugetlbfs only takes pages from the pool.
Result<> GrowHugePages(const grpc::Storage& storage) {
  uint64_t page = 0;
  uint64_t size = 0;
  for (const std::string& option : storage.options()) {
    for (auto [name, value] : {std::pair<std::string_view, uint64_t*>{"pagesize=", &page}, {"size=", &size}}) {
      if (!option.starts_with(name)) continue;
      const auto parsed = ParseSize(std::string_view(option).substr(name.size()));
      if (!parsed) return Fail(Code::kInvalidArgument, "storage {}: {} is no size", storage.mount_point(), option);
      *value = *parsed;
    }
  }
  if (page < 1024 || size == 0) {
    return Fail(Code::kInvalidArgument, "storage {}: hugetlbfs needs the options pagesize and size",
                storage.mount_point());
  }
  const std::string file = fmt::format("/sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages", page / 1024);
  const auto text = TRY(Context(ReadFile(file), "storage {}: pages of {} KiB", storage.mount_point(), page / 1024));
  uint64_t now = 0;
  std::from_chars(text.data(), text.data() + text.size(), now);
  const uint64_t wanted = now + size / page;
  TRY(WriteFile(file, std::to_string(wanted)));
  const auto result = TRY(ReadFile(file));
  uint64_t got = 0;
  std::from_chars(result.data(), result.data() + result.size(), got);
  if (got >= wanted) return {};
  (void)WriteFile(file, std::to_string(now));
  return Fail(Code::kResourceExhausted, "storage {}: the guest has no memory for {} huge pages of {} KiB",
              storage.mount_point(), size / page, page / 1024);
}

Result<> GroupOrUnmount(const GuestDir& root, const grpc::Storage& storage) {
  auto grouped = ApplyGroup(root, storage);
  if (!grouped) (void)Unmount(TRY(root.Find(storage.mount_point(), /*make_parents=*/false)));
  return grouped;
}

Result<> MakeEphemeral(const GuestDir& root, const grpc::Storage& storage) {
  const std::string fstype = storage.fstype().empty() ? "tmpfs" : storage.fstype();
  if (fstype != "tmpfs" && fstype != "hugetlbfs") {
    return Fail(Code::kInvalidArgument, "storage {}: ephemeral is a tmpfs or hugetlbfs, not {}", storage.mount_point(),
                fstype);
  }
  if (fstype == "hugetlbfs") TRY(GrowHugePages(storage));
  TRY(MountNew(root, storage, fstype, ParseStorageOptions(Options(storage))));
  return GroupOrUnmount(root, storage);
}

// Mounts the file system of a disk. Pod::AddStorages has waited for the disk and has set source to its node.
Result<> MakeDisk(const GuestDir& root, const grpc::Storage& storage) {
  if (storage.fstype().empty() || storage.fstype() == "bind") {
    return Fail(Code::kInvalidArgument, "storage {}: the driver {} needs the fstype of what is on the disk",
                storage.mount_point(), storage.driver());
  }
  if (storage.driver_options_size() > 0) {
    return Fail(Code::kUnimplemented, "storage {}: the driver option {} is not implemented", storage.mount_point(),
                storage.driver_options(0));
  }
  TRY(MountNew(root, storage, storage.fstype(), ParseStorageOptions(Options(storage))));
  return GroupOrUnmount(root, storage);
}

Result<> MakeLocal(const GuestDir& root, const grpc::Storage& storage) {
  mode_t mode = 0777;
  for (const std::string& option : storage.options()) {
    if (!option.starts_with("mode=")) continue;
    const char* end = option.data() + option.size();
    unsigned value = 0;
    const auto parsed = std::from_chars(option.data() + 5, end, value, 8);
    if (parsed.ec != std::errc() || parsed.ptr != end || value > 07777) {
      return Fail(Code::kInvalidArgument, "storage {}: {} is no mode", storage.mount_point(), option);
    }
    mode = value;
  }
  TRY(root.MakeDirs(storage.mount_point(), 0755));
  const auto fd = TRY(root.OpenExisting(storage.mount_point(), O_RDONLY | O_DIRECTORY));
  if (::fchmod(fd.get(), mode) < 0) return FailErrno("cannot set the mode of {}", storage.mount_point());
  return ApplyGroup(root, storage);
}

Result<> MakeBind(const GuestDir& root, const grpc::Storage& storage) {
  TRY(NoGroup(storage));
  const auto source = TRY(Context(root.OpenExisting(storage.source(), O_PATH), "storage {}", storage.mount_point()));
  struct stat status {};
  if (::fstat(source.get(), &status) < 0) return FailErrno("cannot look at {}", storage.source());
  const auto place = TRY(root.Find(storage.mount_point(), /*make_parents=*/true));
  if (S_ISDIR(status.st_mode)) {
    TRY(root.MakeDirs(storage.mount_point(), 0755));
  } else {
    TRY(OpenBeneath(place.parent.get(), place.name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644));
  }
  const auto options = ParseStorageOptions(Options(storage));
  if (!options.data.empty()) {
    return Fail(Code::kInvalidArgument, "storage {}: a bind mount has no option \"{}\"", storage.mount_point(),
                options.data);
  }
  return BindMount(source.get(), place, options.flags, options.propagation);
}

constexpr std::array kDrivers{
    StorageDriver{.name = contract::kVirtioFsDriver, .mounts = true, .make = MakeVirtioFs},
    StorageDriver{.name = contract::kEphemeralDriver, .mounts = true, .make = MakeEphemeral},
    StorageDriver{.name = contract::kLocalDriver, .mounts = false, .make = MakeLocal},
    StorageDriver{.name = "bind", .mounts = true, .make = MakeBind},
    StorageDriver{.name = "9p", .mounts = true, .make = Make9p},
    StorageDriver{.name = contract::kBlockDriver, .mounts = true, .make = MakeDisk},
    StorageDriver{.name = "mmioblk", .mounts = true, .make = MakeDisk},
    StorageDriver{.name = contract::kScsiDriver, .mounts = true, .make = MakeDisk},
    StorageDriver{.name = "nvdimm", .mounts = true, .make = MakeDisk},
    StorageDriver{.name = "overlayfs", .mounts = true, .make = MakeOverlay},
    // Only for a file, or a directory that is too large to be copied: StorageTable::Watch handles all others.
    StorageDriver{.name = "watchable-bind", .mounts = true, .make = MakeBind},
};

}  // namespace

const StorageDriver* FindStorageDriver(std::string_view name) {
  for (const StorageDriver& driver : kDrivers) {
    if (driver.name == name) return &driver;
  }
  return nullptr;
}

std::vector<std::string> StorageDrivers() {
  std::vector<std::string> names;
  names.reserve(kDrivers.size());
  for (const StorageDriver& driver : kDrivers) names.emplace_back(driver.name);
  return names;
}

}  // namespace kata::agent
