// SPDX-License-Identifier: Apache-2.0
#include "agent/container/mount_options.h"

#include <sys/mount.h>

#include <algorithm>

namespace kata::agent {

namespace {

// An option that sets or clears mount attributes. "r" + name also does so on all mounts below.
struct Attribute {
  std::string_view name;
  uint64_t set;
  uint64_t clear;
};

constexpr Attribute kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    // These options set one field of several bits, so the whole field is cleared with each.
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
};

const Attribute* FindAttribute(std::string_view name) {
  for (const Attribute& attribute : kAttributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

// Adds the attribute. A later option overrides an earlier one.
void Add(const Attribute& attribute, uint64_t* set, uint64_t* clear) {
  *set &= ~(attribute.clear | attribute.set);
  *clear &= ~attribute.set;
  *set |= attribute.set;
  *clear |= attribute.clear;
}

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  for (const std::string_view other : words) {
    if (word == other) return true;
  }
  return false;
}

}  // namespace

std::optional<MountOptions::Propagation> ParsePropagation(std::string_view word) {
  const bool recursive = word.starts_with('r');
  if (recursive) word.remove_prefix(1);
  if (word == "private") return MountOptions::Propagation{MS_PRIVATE, recursive};
  if (word == "shared") return MountOptions::Propagation{MS_SHARED, recursive};
  if (word == "slave") return MountOptions::Propagation{MS_SLAVE, recursive};
  if (word == "unbindable") return MountOptions::Propagation{MS_UNBINDABLE, recursive};
  return std::nullopt;
}

bool IsDev(std::string_view destination) {
  std::vector<std::string_view> names;
  while (!destination.empty()) {
    const std::string_view name = destination.substr(0, destination.find('/'));
    destination.remove_prefix(std::min(name.size() + 1, destination.size()));
    if (name == ".." && !names.empty()) names.pop_back();
    if (!name.empty() && name != "." && name != "..") names.push_back(name);
  }
  return names.size() == 1 && names[0] == "dev";
}

Result<MountOptions> ParseMountOptions(const grpc::Mount& mount) {
  MountOptions options;
  options.bind = mount.type() == "bind";
  options.id_mapped = !mount.uidmappings().empty() || !mount.gidmappings().empty();
  std::vector<std::string> flags;  // of the filesystem; ignored for a bind mount
  for (const std::string& option : mount.options()) {
    if (option.find('\0') != std::string::npos) {
      return Fail(Code::kInvalidArgument, "an option has a NUL byte in it");
    }
    if (option == "bind" || option == "rbind") {
      options.bind = true;
      options.recursive = options.recursive || option == "rbind";
    } else if (const Attribute* attribute = FindAttribute(option)) {
      Add(*attribute, &options.set, &options.clear);
    } else if (const auto propagation = ParsePropagation(option)) {
      options.propagation.push_back(*propagation);
    } else if (const Attribute* below =
                   option.starts_with('r') ? FindAttribute(std::string_view(option).substr(1)) : nullptr) {
      Add(*below, &options.recursive_set, &options.recursive_clear);
    } else if (option == "tmpcopyup") {
      options.copy_up = true;
    } else if (IsOneOf(option, {"sync", "dirsync", "mand", "lazytime"})) {
      flags.push_back(option);
    } else if (IsOneOf(option, {"async", "nomand", "nolazytime"})) {
      std::erase(flags, option == "async" ? "sync" : option.substr(2));
    } else if (IsOneOf(option, {"defaults", "silent", "loud", "nofail", "_netdev", ""})) {
      continue;  // without a meaning here: for fstab(5), and for the kernel's log
    } else if (IsOneOf(option, {"idmap", "ridmap"})) {
      options.id_mapped = true;
      options.id_mapped_below = option == "ridmap";
    } else if (option == "remount" || option.starts_with("idmap=") || option.starts_with("ridmap=")) {
      return Fail(Code::kUnimplemented, "the option {} is not supported", option);
    } else {
      options.data.push_back(option);
    }
  }
  if (options.bind && options.copy_up) return Fail(Code::kInvalidArgument, "tmpcopyup is for tmpfs, not for a bind");
  if (!options.bind && options.id_mapped) {
    return Fail(Code::kInvalidArgument, "ids can only be mapped in a bind mount");
  }
  if (!options.bind) options.data.insert(options.data.begin(), flags.begin(), flags.end());
  // mount_setattr(2) accepts a change of the access time field only if all its bits are cleared.
  if ((options.set & MOUNT_ATTR__ATIME) != 0) options.clear |= MOUNT_ATTR__ATIME;
  if ((options.recursive_set & MOUNT_ATTR__ATIME) != 0) options.recursive_clear |= MOUNT_ATTR__ATIME;
  return options;
}

}  // namespace kata::agent
