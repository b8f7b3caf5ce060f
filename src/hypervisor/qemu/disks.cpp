// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/disks.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "protocol/guest_contract.h"

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;

// 256 LUNs on each of 256 SCSI ids, as in Kata.
constexpr uint32_t kLuns = 256;
constexpr uint32_t kMaxDisks = kLuns * 256;
constexpr char kController[] = "scsi0";
constexpr char kThread[] = "disks";

// Checks that QEMU can use the file. Returns true for a regular file and false for a block device.
Result<bool> IsFile(const BlockDevice& device) {
  struct stat status {};
  const int flags = device.file ? fcntl(device.file.get(), F_GETFL) : -1;
  if (flags < 0 || (flags & O_PATH) != 0 || fstat(device.file.get(), &status) != 0) {
    return Fail(Code::kInvalidArgument, "the disk {} has no open file", device.id);
  }
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return Fail(Code::kInvalidArgument, "the disk {} is neither a regular file nor a block device", device.id);
  }
  // QEMU accepts only a descriptor whose access mode is exactly that of the disk.
  const int wanted = device.read_only ? O_RDONLY : O_RDWR;
  if ((flags & O_ACCMODE) != wanted) {
    return Fail(Code::kInvalidArgument, "the file of the disk {} must be open for {}", device.id,
                device.read_only ? "reading" : "reading and writing");
  }
  return S_ISREG(status.st_mode);
}

// Gives an error of Plug the code and the advice that AddBlockDevice promises.
Error Explained(const Error& error, bool scsi) {
  // For QEMU a locked file is a general error, which only its text tells from others.
  if (error.message().find(" lock") != std::string::npos) {
    return {Code::kFailedPrecondition, error.message(), error.sys()};
  }
  // The kernel hands over no descriptor of a file that a security module does not allow.
  if (error.message().find("No file descriptor supplied") != std::string::npos) {
    return {Code::kPermissionDenied,
            error.message() +
                " (refused by AppArmor or SELinux? its name may need a rule in "
                "/etc/apparmor.d/local/kata-qemu)",
            error.sys()};
  }
  if (error.code() == Code::kResourceExhausted && !scsi) {
    return {error.code(), error.message() + " (block_device_driver = \"virtio-scsi\" needs one place for all disks)"};
  }
  return error;
}

}  // namespace

Json BlockNode(const config::HypervisorConfig& settings, const std::string& node, const std::string& file_name,
               bool is_file, bool read_only) {
  Json cache = {{"direct", settings.block_device_cache_set && settings.block_device_cache_direct},
                {"no-flush", settings.block_device_cache_set && settings.block_device_cache_noflush}};
  // Linux AIO requires O_DIRECT.
  if (settings.block_device_aio == "native") cache["direct"] = true;
  // Never let QEMU probe the format: an image with a qcow2 header could name any other file of the host.
  return {{"driver", "raw"},
          {"node-name", node},
          {"read-only", read_only},
          {"cache", cache},
          {"discard", "unmap"},
          {"file",
           {{"driver", is_file ? "file" : "host_device"},
            {"filename", file_name},
            {"aio", settings.block_device_aio},
            {"read-only", read_only},
            {"cache", cache},
            {"discard", "unmap"}}}};
}

Json DiskProperties(const config::HypervisorConfig& settings, const std::string& device, const std::string& node,
                    uint32_t number) {
  Json properties = {{"id", device}, {"drive", node}, {"serial", device}};
  if (settings.block_device_logical_sector_size != 0) {
    properties["logical_block_size"] = settings.block_device_logical_sector_size;
  }
  if (settings.block_device_physical_sector_size != 0) {
    properties["physical_block_size"] = settings.block_device_physical_sector_size;
  }
  if (settings.block_device_driver == "virtio-scsi") {
    properties["driver"] = "scsi-hd";
    properties["bus"] = fmt::format("{}.0", kController);
    properties["scsi-id"] = number / kLuns;
    properties["lun"] = number % kLuns;
    return properties;
  }
  properties["driver"] = "virtio-blk-pci";
  properties["disable-legacy"] = "on";
  properties["config-wce"] = false;
  properties["num-queues"] = settings.num_queues;
  properties["queue-size"] = settings.queue_size;
  properties["romfile"] = "";  // no firmware boots from it
  if (settings.enable_iothreads) properties["iothread"] = kThread;
  return properties;
}

Json ControllerProperties(const config::HypervisorConfig& settings) {
  Json properties = {{"driver", "virtio-scsi-pci"},
                     {"id", kController},
                     {"disable-legacy", "on"},
                     {"romfile", ""},
                     {"num_queues", settings.num_queues},
                     {"virtqueue_size", settings.queue_size}};
  if (settings.enable_iothreads) properties["iothread"] = kThread;
  return properties;
}

asio::awaitable<Result<>> Disks::MakeThread() {
  if (!settings_.enable_iothreads || thread_) co_return Result<>();
  thread_ = true;
  Json arguments = {{"qom-type", "iothread"}, {"id", kThread}};
  auto made = co_await Execute("object-add", std::move(arguments));
  if (made) co_return Result<>();
  thread_ = false;
  co_return tl::unexpected<Error>(std::move(made).error());
}

asio::awaitable<Result<>> Disks::PlugController() {
  if (controller_) co_return Result<>();
  controller_ = true;
  std::string text = ControllerProperties(settings_).dump();
  auto plugged = co_await hotplug_->Plug(std::move(text));
  if (plugged) co_return Result<>();
  controller_ = false;
  co_return tl::unexpected<Error>(std::move(plugged).error());
}

asio::awaitable<Result<std::string>> Disks::Execute(const char* command, Json arguments, int fd) {
  std::string text = arguments.dump();
  co_return co_await qmp_->ExecuteWithFd(command, std::move(text), fd);
}

asio::awaitable<Result<std::string>> Disks::Plug(Disk& disk, const BlockDevice& device, bool is_file) {
  Json nothing = Json::object();
  CO_TRY_ASSIGN(const std::string answer, co_await Execute("add-fd", std::move(nothing), device.file.get()));
  CO_TRY_ASSIGN(const Json parsed, ParseJson(answer, Qmp::kMaxMessage));
  const auto set = parsed.find("fdset-id");
  if (set == parsed.end() || !set->is_number_unsigned()) {
    co_return Fail(Code::kInternal, "QMP add-fd: QEMU's answer has no fdset-id");
  }
  disk.file = set->get<uint64_t>();
  disk.has_file = true;
  const std::string file_name = fmt::format("/dev/fdset/{}", disk.file);
  Json node = BlockNode(settings_, disk.Node(), file_name, is_file, device.read_only);
  CO_TRY(co_await Execute("blockdev-add", std::move(node)));
  disk.node = true;
  CO_TRY(co_await MakeThread());
  Json properties = DiskProperties(settings_, disk.Device(), disk.Node(), disk.number);
  if (scsi()) {
    CO_TRY(co_await PlugController());
    CO_TRY(co_await Execute("device_add", std::move(properties)));
    disk.device = true;
    co_return fmt::format("{}:{}", disk.number / kLuns, disk.number % kLuns);
  }
  std::string text = properties.dump();
  CO_TRY_ASSIGN(std::string address, co_await hotplug_->Plug(std::move(text)));
  disk.device = true;
  co_return address;
}

// Removes the parts of the disk that exist, in reverse order of their creation. Stops at the first part that cannot be
// removed; disk then still says which parts exist.
asio::awaitable<Result<>> Disks::TakeBack(Disk& disk) {
  if (disk.device) {
    auto gone =
        scsi() ? co_await qmp_->DeleteDevice(disk.Device(), kCommandTime) : co_await hotplug_->Unplug(disk.Device());
    if (!gone && gone.error().code() != Code::kNotFound) co_return gone;
    disk.device = false;
  }
  if (disk.node) {
    Json arguments = {{"node-name", disk.Node()}};
    CO_TRY(co_await Execute("blockdev-del", std::move(arguments)));
    disk.node = false;
  }
  if (disk.has_file) {
    Json arguments = {{"fdset-id", disk.file}};
    CO_TRY(co_await Execute("remove-fd", std::move(arguments)));
    disk.has_file = false;
  }
  co_return Result<>();
}

asio::awaitable<Result<GuestAddress>> Disks::Add(BlockDevice device) {
  CO_TRY_ASSIGN(const bool is_file, IsFile(device));
  if (disks_.contains(device.id)) co_return Fail(Code::kAlreadyExists, "the VM has a disk {} already", device.id);
  uint32_t number = 0;
  for (bool taken = true; taken; number += taken ? 1 : 0) {
    taken = false;
    for (const auto& [id, disk] : disks_) taken |= disk.number == number;
  }
  if (number >= kMaxDisks) co_return Fail(Code::kResourceExhausted, "a VM has at most {} disks", kMaxDisks);
  Disk& disk = disks_[device.id];
  disk.number = number;
  auto address = Context(co_await Plug(disk, device, is_file), "cannot plug the disk {}", device.id);
  if (address) {
    disk.busy = false;
    co_return GuestAddress{scsi() ? contract::kScsiDriver : contract::kBlockDriver, *std::move(address)};
  }
  // Still busy, so that no Remove runs beside. If QEMU keeps a part, the entry stays and holds the number, which is in
  // the ids of these parts.
  auto taken_back = co_await TakeBack(disk);
  disk.busy = false;
  if (taken_back) {
    disks_.erase(device.id);
  } else {
    log::Warn("disk {}: {}", device.id, taken_back.error().message());
  }
  co_return tl::unexpected<Error>(Explained(address.error(), scsi()));
}

asio::awaitable<Result<>> Disks::Remove(std::string id) {
  const auto found = disks_.find(id);
  if (found == disks_.end()) co_return Fail(Code::kNotFound, "the VM has no disk {}", id);
  if (found->second.busy) co_return Fail(Code::kFailedPrecondition, "the disk {} is being plugged or unplugged", id);
  found->second.busy = true;
  auto gone = Context(co_await TakeBack(found->second), "cannot unplug the disk {}", id);
  found->second.busy = false;
  if (gone) disks_.erase(id);
  co_return gone;
}

}  // namespace kata::hypervisor::qemu
