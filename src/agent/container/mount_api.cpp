// SPDX-License-Identifier: Apache-2.0
#include "agent/container/mount_api.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>

namespace kata::agent {

namespace {

// The filesystem's own messages about a failure, such as "e tmpfs: Bad value for 'size'". Each read(2) of an fsopen(2)
// context returns one.
std::string Complaint(int context) {
  std::string complaint;
  std::array<char, 256> line{};
  for (ssize_t count = 0; (count = read(context, line.data(), line.size())) > 0;) {
    std::string_view text(line.data(), static_cast<size_t>(count));
    if (text.size() > 2 && text[1] == ' ') text.remove_prefix(2);
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    complaint += fmt::format(" ({})", text);
  }
  return complaint;
}

Result<> SetOption(int context, const std::string& key, const char* value) {
  const unsigned command = value != nullptr ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
  if (fsconfig(context, command, key.c_str(), value, 0) == 0) return {};
  const int sys = errno;
  return FailWith(sys, "option {}{}{}{}", key, value != nullptr ? "=" : "", value != nullptr ? value : "",
                  Complaint(context));
}

}  // namespace

Result<UniqueFd> CloneMount(int dirfd, const std::string& path, bool recursive) {
  const unsigned flags =
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path.empty() ? AT_EMPTY_PATH : 0U) | (recursive ? AT_RECURSIVE : 0U);
  UniqueFd fd(open_tree(dirfd, path.c_str(), flags));
  if (!fd) return FailErrno("cannot take {}", path.empty() ? "a mount" : path);
  return fd;
}

Result<> AttachMount(int mount, int target) {
  if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return FailErrno("cannot attach the mount");
  }
  return {};
}

Result<> SetMountAttributes(int mount, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation) {
  struct mount_attr attributes {};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  if (mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes) != 0) {
    return FailErrno("cannot set the mount's attributes");
  }
  return {};
}

Result<> MapMountIds(int mount, bool recursive, int user_namespace) {
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace);
  if (mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes) == 0) {
    return {};
  }
  const int sys = errno;
  return FailWith(sys, "cannot map the mount's ids{}",
                  sys == EINVAL ? ", since its file system knows no idmapped mounts" : "");
}

Result<UniqueFd> NewFilesystem(const std::string& type, const std::string& source,
                               const std::vector<std::string>& options, uint64_t attributes) {
  const UniqueFd context(fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!context) {
    if (errno == ENODEV) return FailErrno("the guest's kernel has no filesystem {}", type);
    return FailErrno("cannot open the filesystem {}", type);
  }
  if (!source.empty()) TRY(SetOption(context.get(), "source", source.c_str()));
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    const bool flag = equals == std::string::npos;
    TRY(SetOption(context.get(), option.substr(0, equals), flag ? nullptr : option.c_str() + equals + 1));
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    const int sys = errno;
    return FailWith(sys, "cannot make the filesystem {}{}", type, Complaint(context.get()));
  }
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount) return FailErrno("cannot mount the filesystem {}", type);
  return mount;
}

bool IsOnFilesystem(int fd, long magic) {
  struct statfs info {};
  return fstatfs(fd, &info) == 0 && info.f_type == magic;
}

}  // namespace kata::agent
