// SPDX-License-Identifier: Apache-2.0
#include "agent/hotplug/block_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "agent/hotplug/uevents.h"
#include "base/files.h"
#include "protocol/guest_contract.h"

namespace kata::agent {

namespace {

template <typename Number>
bool ReadNumber(std::string_view text, int base, Number* number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, *number, base);
  return parsed.ec == std::errc() && parsed.ptr == end && !text.empty();
}

// The first entry of a directory whose name begins with prefix; empty: no such entry or directory.
std::string NameIn(const std::string& directory, std::string_view prefix) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return {};
  auto names = ListDir(fd.get());
  if (!names) return {};
  for (std::string& name : *names) {
    if (name.starts_with(prefix)) return std::move(name);
  }
  return {};
}

Result<BlockNode> NodeOf(const std::string& sys, const std::string& name) {
  // "254:0\n"
  const auto text = ReadFile(sys + "/class/block/" + name + "/dev", 64);
  BlockNode node{"/dev/" + name};
  const size_t colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos || !ReadNumber(std::string_view(*text).substr(0, colon), 10, &node.major) ||
      !ReadNumber(std::string_view(*text).substr(colon + 1, text->find('\n') - colon - 1), 10, &node.minor)) {
    return Fail(Code::kNotFound, "the guest has no disk {}", name);
  }
  return node;
}

Result<BlockNode> FindByName(const std::string& sys, std::string_view name) {
  if (name.starts_with("/dev/")) name.remove_prefix(5);
  // The name becomes a component of a path in sysfs: it must not be able to lead elsewhere.
  if (name.empty() || name.size() > 64 || name.front() == '.' || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "\"{}\" is no name of a disk", name.substr(0, 64));
  }
  return NodeOf(sys, std::string(name));
}

Result<BlockNode> FindByPci(const std::string& sys, std::string_view address) {
  const std::string directory = TRY(PciDirectory(sys, address));
  const std::string virtio = NameIn(directory, "virtio");
  const std::string name = virtio.empty() ? std::string() : NameIn(directory + "/" + virtio + "/block", "");
  if (name.empty()) return Fail(Code::kNotFound, "the guest has no disk at the PCI path {}", address);
  return NodeOf(sys, name);
}

Result<BlockNode> FindByScsi(const std::string& sys, std::string_view address) {
  const size_t colon = std::min(address.find(':'), address.size());
  uint32_t id = 0;
  uint64_t lun = 0;
  if (!ReadNumber(address.substr(0, colon), 10, &id) ||
      !ReadNumber(address.substr(std::min(colon + 1, address.size())), 10, &lun)) {
    return Fail(Code::kInvalidArgument, "\"{}\" is no SCSI address id:lun", address.substr(0, 64));
  }
  const std::string wanted = fmt::format(":0:{}:{}", id, lun);  // follows the number of the controller
  const std::string directory = sys + "/bus/scsi/devices";
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) {
    for (const std::string& device : TRY(ListDir(fd.get()))) {
      if (!device.ends_with(wanted) || device.find(':') + wanted.size() != device.size()) continue;
      const std::string name = NameIn(fmt::format("{}/{}/block", directory, device), "");
      if (!name.empty()) return NodeOf(sys, name);
    }
  }
  return Fail(Code::kNotFound, "the guest has no disk at the SCSI address {}", address);
}

}  // namespace

bool IsDiskDriver(std::string_view driver) {
  return driver == contract::kBlockDriver || driver == "mmioblk" || driver == contract::kScsiDriver ||
         driver == "nvdimm";
}

Result<std::string> PciDirectory(const std::string& sys, std::string_view pci_path) {
  std::string bus = "0000:00";
  std::string directory;
  std::string_view rest = pci_path;
  do {
    const std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    const size_t dot = std::min(part.find('.'), part.size());
    unsigned slot = 0;
    unsigned function = 0;
    if (!ReadNumber(part.substr(0, dot), 16, &slot) || slot > 0x1f ||
        (dot < part.size() && !ReadNumber(part.substr(dot + 1), 16, &function)) || function > 7) {
      return Fail(Code::kInvalidArgument, "\"{}\" is no PCI path of slots such as 02/00", pci_path.substr(0, 64));
    }
    if (!directory.empty()) bus = NameIn(directory + "/pci_bus", "");
    directory = fmt::format("{}/bus/pci/devices/{}:{:02x}.{}", sys, bus, slot, function);
    if (bus.empty() || ::access(directory.c_str(), F_OK) != 0) {
      return Fail(Code::kNotFound, "the guest has no device at the PCI path {}", pci_path);
    }
  } while (!rest.empty());
  return directory;
}

Result<BlockNode> FindDisk(const std::string& sys, std::string_view driver, std::string_view address) {
  if (driver == contract::kScsiDriver) return FindByScsi(sys, address);
  if (driver == contract::kBlockDriver && !address.starts_with("/dev/")) return FindByPci(sys, address);
  return FindByName(sys, address);
}

asio::awaitable<Result<BlockNode>> WaitForDisk(asio::any_io_executor executor, std::string driver, std::string address,
                                               std::chrono::seconds limit) {
  BlockNode node;
  std::function<Result<>()> look = [&]() -> Result<> {
    node = TRY(FindDisk("/sys", driver, address));
    // The disk's files in sysfs exist a moment before its node can be opened. The uevent comes after that.
    const auto opened = Open(node.path, O_RDONLY);
    if (opened || (opened.error().sys() != ENXIO && opened.error().sys() != ENOENT)) return {};
    return Fail(Code::kNotFound, "{}", opened.error().message());
  };
  CO_TRY(co_await LookUntilFound(executor, limit, look));
  co_return node;
}

}  // namespace kata::agent
