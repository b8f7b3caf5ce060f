// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/kept_probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

namespace kata::hypervisor {
namespace {

constexpr size_t kMaxBytes = 4096;

// Changes with the boot, and when the module of KVM is loaded anew. No times: for each VM that begins and ends the
// kernel tells udev of a change, and udev sets the device's owner and mode once more.
Result<std::string> Identity(int kvm) {
  std::string boot = TRY(ReadFile("/proc/sys/kernel/random/boot_id"));
  boot.erase(boot.find_last_not_of('\n') + 1);
  struct stat device = {};
  if (fstat(kvm, &device) != 0) return FailErrno("the KVM device");
  return fmt::format("{} {}:{} {}", boot, device.st_dev, device.st_ino, device.st_rdev);
}

// The directory, if nobody but its owner, this process's user, can write to it.
Result<UniqueFd> OwnDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return FailErrno("cannot make {}", path);
  UniqueFd directory = TRY(Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  struct stat status = {};
  if (fstat(directory.get(), &status) != 0) return FailErrno("{}", path);
  if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Fail(Code::kPermissionDenied, "others can write to {}", path);
  }
  return directory;
}

std::optional<KvmProbe> Kept(int directory, const std::string& name, const std::string& identity) {
  const auto fd = OpenBeneath(directory, name, O_RDONLY | O_NONBLOCK);
  const auto text = fd ? ReadAll(fd->get(), kMaxBytes) : Result<std::string>("");
  const auto json = text ? ParseJson(*text, kMaxBytes) : Result<nlohmann::json>(nlohmann::json());
  if (!json || !json->is_object() || json->value("identity", nlohmann::json()) != identity) return std::nullopt;
  const auto works = json->find("works");
  const auto why = json->find("why");
  const auto exit_ns = json->find("exit_ns");
  if (works == json->end() || !works->is_boolean() || why == json->end() || !why->is_string() ||
      exit_ns == json->end() || !exit_ns->is_number_unsigned()) {
    return std::nullopt;
  }
  return KvmProbe{works->get<bool>(), why->get<std::string>(), std::chrono::nanoseconds(exit_ns->get<uint64_t>())};
}

}  // namespace

Result<KvmProbe> KeptProbe(const std::string& file, int kvm, const std::function<Result<KvmProbe>()>& probe) {
  const std::filesystem::path path(file);
  const auto identity = Identity(kvm);
  const auto directory = OwnDirectory(path.parent_path());
  if (!identity || !directory) {
    log::Debug("what a VM shows is not kept: {}", (identity ? directory.error() : identity.error()).message());
    return probe();
  }
  if (auto kept = Kept(directory->get(), path.filename(), *identity)) return *kept;
  KvmProbe found = TRY(probe());
  const nlohmann::json json = {
      {"identity", *identity}, {"works", found.works}, {"why", found.why}, {"exit_ns", found.exit_time.count()}};
  const auto written = WriteFileAtomic(directory->get(), path.filename(), json.dump() + "\n", 0600);
  if (!written) log::Debug("what a VM shows is not kept: {}", written.error().message());
  return found;
}

}  // namespace kata::hypervisor
