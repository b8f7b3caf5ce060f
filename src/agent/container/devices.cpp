// SPDX-License-Identifier: Apache-2.0
#include "agent/container/devices.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>

#include "agent/container/mount_api.h"
#include "agent/container/mount_options.h"
#include "base/files.h"

namespace kata::agent {

namespace {

struct Device {
  mode_t type = S_IFCHR;
  unsigned major = 0;
  unsigned minor = 0;
  mode_t mode = 0666;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string field;

  dev_t number() const { return type == S_IFIFO ? 0 : makedev(major, minor); }
};

bool BindsDev(const grpc::Spec& spec) {
  return std::any_of(spec.mounts().begin(), spec.mounts().end(), [](const grpc::Mount& mount) {
    const auto& options = mount.options();
    return IsDev(mount.destination()) &&
           (mount.type() == "bind" || std::any_of(options.begin(), options.end(), [](const std::string& option) {
              return option == "bind" || option == "rbind";
            }));
  });
}

Result<mode_t> TypeOf(const std::string& type) {
  if (type == "c" || type == "u") return S_IFCHR;
  if (type == "b") return S_IFBLK;
  if (type == "p") return S_IFIFO;
  return Fail(Code::kInvalidArgument, "type \"{}\" is not c, u, b or p", type);
}

// The default devices and those of linux.devices by path, so that the spec's /dev/null replaces the default one.
Result<std::map<std::string, Device>> AllDevices(const grpc::Spec& spec) {
  std::map<std::string, Device> devices = {{"/dev/null", {S_IFCHR, 1, 3}},    {"/dev/zero", {S_IFCHR, 1, 5}},
                                           {"/dev/full", {S_IFCHR, 1, 7}},    {"/dev/random", {S_IFCHR, 1, 8}},
                                           {"/dev/urandom", {S_IFCHR, 1, 9}}, {"/dev/tty", {S_IFCHR, 5, 0}}};
  for (int i = 0; i < spec.linux().devices_size(); ++i) {
    const auto& wanted = spec.linux().devices(i);
    Device device;
    device.field = fmt::format("linux.devices[{}] ({}): ", i, wanted.path());
    device.type = TRY(Context(TypeOf(wanted.type()), "linux.devices[{}]", i));
    device.major = static_cast<unsigned>((wanted.major)());
    device.minor = static_cast<unsigned>((wanted.minor)());
    if (wanted.filemode() != 0) device.mode = wanted.filemode() & 07777U;
    device.uid = wanted.uid();
    device.gid = wanted.gid();
    if (wanted.path().empty() || wanted.path().front() != '/' || wanted.path().back() == '/') {
      return Fail(Code::kInvalidArgument, "linux.devices[{}].path: \"{}\" is no absolute path of a file", i,
                  wanted.path());
    }
    devices[wanted.path()] = device;
  }
  return devices;
}

bool IsDevice(int fd, const Device& device) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || (info.st_mode & S_IFMT) != device.type) return false;
  return device.type == S_IFIFO || info.st_rdev == device.number();
}

// Binds the guest's node at the same path onto target. Looking it up by number in /dev/char or /dev/block would need
// udev, which the guest does not have.
Result<> BindFromGuest(const std::string& path, const Device& device, int target) {
  const UniqueFd guest = TRY(Context(Open(path, O_PATH | O_NOFOLLOW), "the guest's own"));
  if (!IsDevice(guest.get(), device)) return Fail(Code::kInvalidArgument, "{} of the guest is another device", path);
  const UniqueFd tree = TRY(CloneMount(guest.get(), "", /*recursive=*/false));
  return AttachMount(tree.get(), target);
}

Result<> MakeDevice(const std::string& path, const Device& device, int root) {
  const size_t cut = path.rfind('/');
  const std::string name = path.substr(cut + 1);
  const UniqueFd directory = TRY(MakeDirsInRoot(root, cut == 0 ? "/" : path.substr(0, cut), 0755));
  if (IsOnFilesystem(directory.get(), PROC_SUPER_MAGIC)) return Fail(Code::kInvalidArgument, "it is inside /proc");
  const bool made = mknodat(directory.get(), name.c_str(), device.type | 0600U, device.number()) == 0;
  if (!made && errno != EEXIST && errno != EPERM && errno != EROFS) return FailErrno("mknod");
  // O_NOFOLLOW: the image may have a symbolic link in this place.
  UniqueFd node(openat(directory.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!made && (!node || !IsDevice(node.get(), device))) {
    if (device.type == S_IFIFO) return Fail(Code::kAlreadyExists, "something else is in its place");
    if (!node) node = TRY(MakeFileInRoot(directory.get(), name, 0600));
    struct stat info {};
    if (fstat(node.get(), &info) != 0 || S_ISLNK(info.st_mode) || S_ISDIR(info.st_mode)) {
      return Fail(Code::kAlreadyExists, "something else is in its place");
    }
    return BindFromGuest(path, device, node.get());
  }
  if (!node) return FailErrno("cannot open the new device");
  // Uses the base's /proc/self/fd: fchmod(2) fails for an O_PATH descriptor, and the node's path may have changed.
  const std::string handle = FdPath(node.get());
  if (chown(handle.c_str(), device.uid, device.gid) != 0) return FailErrno("cannot set its owner");
  if (chmod(handle.c_str(), device.mode) != 0) return FailErrno("cannot set its mode");
  return {};
}

Result<> MakeLink(int dev, const char* name, const char* target, bool replace) {
  if (replace && unlinkat(dev, name, 0) != 0 && errno != ENOENT) return FailErrno("cannot replace /dev/{}", name);
  if (symlinkat(target, dev, name) != 0 && errno != EEXIST) return FailErrno("cannot make the link /dev/{}", name);
  return {};
}

}  // namespace

bool IsCharDevice(int fd, unsigned major, unsigned minor) {
  struct stat info {};
  return fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(major, minor);
}

Result<> MakeDevices(const grpc::Spec& spec, int root) {
  if (BindsDev(spec)) return {};
  // /dev must be no symbolic link, with which the image could choose where the devices are made.
  if (mkdirat(root, "dev", 0755) != 0 && errno != EEXIST) return FailErrno("cannot make /dev in the root");
  const UniqueFd dev =
      TRY(Context(OpenBeneath(root, "dev", O_PATH | O_DIRECTORY), "/dev must be an ordinary directory"));
  for (const auto& [path, device] : TRY(AllDevices(spec))) {
    TRY(Context(MakeDevice(path, device, root), "{}cannot make the device {}", device.field, path));
  }
  TRY(MakeLink(dev.get(), "fd", "/proc/self/fd", /*replace=*/false));
  TRY(MakeLink(dev.get(), "stdin", "/proc/self/fd/0", /*replace=*/false));
  TRY(MakeLink(dev.get(), "stdout", "/proc/self/fd/1", /*replace=*/false));
  TRY(MakeLink(dev.get(), "stderr", "/proc/self/fd/2", /*replace=*/false));
  // ptmx must lead to the container's own devpts, so an existing node or link is replaced.
  return MakeLink(dev.get(), "ptmx", "pts/ptmx", /*replace=*/true);
}

}  // namespace kata::agent
