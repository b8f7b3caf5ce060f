// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <charconv>
#include <cstring>

#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox::network {
namespace {

constexpr char kTun[] = "/dev/net/tun";

Result<ifreq> Request(const std::string& name, uint32_t queues) {
  ifreq request{};
  if (name.empty() || name.size() >= sizeof request.ifr_name) {
    return Fail(Code::kInvalidArgument, "\"{}\" is no name of an interface", name);
  }
  std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
  // With the virtio-net header: guest and host leave checksums and segmentation to each other.
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
  return request;
}

Result<UniqueFd> OpenQueue(ifreq& request, uint32_t number) {
  UniqueFd fd = TRY(Open(kTun, O_RDWR | O_NONBLOCK));
  if (ioctl(fd.get(), TUNSETIFF, &request) == 0) return fd;
  const int sys = errno;
  if (sys == EBUSY) return Fail(Code::kAlreadyExists, "the tap {} is another process's already", request.ifr_name);
  return FailWith(sys, "cannot open queue {} of the tap {}", number, request.ifr_name);
}

// A new instance of a file system, mounted nowhere. sysfs shows the network namespace in which this is called
// (fsopen(2)).
Result<UniqueFd> DetachedMount(const char* type) {
  const UniqueFd context(static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
  if (!context || syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return FailErrno("cannot make a {} of its own", type);
  }
  UniqueFd mount(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (!mount) return FailErrno("cannot make a {} of its own", type);
  return mount;
}

// The number of a macvtap's character device. Its node in /dev is not used: its name has the link's index, which links
// of other namespaces may have as well.
Result<dev_t> DeviceOf(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return FailErrno("interface {}", name);
  const UniqueFd sysfs = TRY(DetachedMount("sysfs"));
  const std::string path = fmt::format("class/net/{}/macvtap/tap{}/dev", name, index);
  const UniqueFd file(openat(sysfs.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return FailErrno("interface {}: cannot find its device", name);
  const std::string text = TRY(ReadAll(file.get(), 64));
  unsigned major = 0;
  unsigned minor = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':' ||
      std::from_chars(first.ptr + 1, end, minor).ec != std::errc()) {
    return Fail(Code::kInternal, "interface {}: \"{}\" is no device number", name, text);
  }
  return makedev(major, minor);
}

}  // namespace

Result<std::vector<UniqueFd>> MakeTap(const std::string& name, uint32_t queues) {
  ifreq request = TRY(Request(name, queues));
  const auto flags = request.ifr_flags;
  std::vector<UniqueFd> fds;
  for (uint32_t i = 0; i < queues; ++i) {
    // Without IFF_TUN_EXCL this could become one more queue of a tap that another VM has.
    request.ifr_flags = static_cast<short>(flags | (i == 0 ? IFF_TUN_EXCL : 0));
    fds.push_back(TRY(OpenQueue(request, i)));
  }
  return fds;
}

Result<std::vector<UniqueFd>> OpenTap(const std::string& name, uint32_t queues) {
  ifreq request = TRY(Request(name, queues));
  // Otherwise TUNSETIFF would make the tap.
  if (if_nametoindex(name.c_str()) == 0) return Fail(Code::kNotFound, "there is no interface {}", name);
  std::vector<UniqueFd> fds;
  for (uint32_t i = 0; i < queues; ++i) fds.push_back(TRY(OpenQueue(request, i)));
  return fds;
}

Result<std::vector<UniqueFd>> OpenMacvtap(const std::string& name, uint32_t queues) {
  ifreq request = TRY(Request(name, queues));
  const dev_t device = TRY(DeviceOf(name));
  const UniqueFd directory = TRY(DetachedMount("tmpfs"));
  if (mknodat(directory.get(), "tap", S_IFCHR | 0600, device) != 0) return FailErrno("cannot make a node for {}", name);
  std::vector<UniqueFd> fds;
  for (uint32_t i = 0; i < queues; ++i) {
    UniqueFd fd(openat(directory.get(), "tap", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd || ioctl(fd.get(), TUNSETIFF, &request) != 0) return FailErrno("cannot open queue {} of {}", i, name);
    fds.push_back(std::move(fd));
  }
  return fds;
}

std::vector<UniqueFd> OpenVhost(size_t queues) {
  std::vector<UniqueFd> fds;
  for (size_t i = 0; i < queues; ++i) {
    auto fd = Open("/dev/vhost-net", O_RDWR);
    if (!fd) {
      log::Debug("without vhost-net: {}", fd.error().message());
      return {};
    }
    fds.push_back(*std::move(fd));
  }
  return fds;
}

}  // namespace kata::sandbox::network
