// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <vector>

#include "agent/storage/storage_options.h"
#include "base/files.h"

namespace kata::agent {

namespace {

constexpr std::string_view kReadWrite = "io.katacontainers.fs-opt.overlay-rw";
constexpr std::string_view kOthers = "io.katacontainers.";

// Returns the option key with each of the directories as the path of a descriptor. So no name must be escaped, and no
// symbolic link is followed. The descriptors are added to *held and must stay open until mount(2).
Result<std::string> Pinned(const GuestDir& root, std::string_view key, std::string_view directories,
                           std::vector<UniqueFd>* held) {
  std::string option(key);
  while (!directories.empty()) {
    const std::string_view one = directories.substr(0, directories.find(':'));
    directories.remove_prefix(std::min(one.size() + 1, directories.size()));
    held->push_back(TRY(Context(root.OpenExisting(one, O_PATH | O_DIRECTORY), "{}", key)));
    if (!option.ends_with('=')) option += ':';
    option += FdPath(held->back().get());
  }
  return option;
}

}  // namespace

bool HasOverlayDirectories(const grpc::Storage& storage) {
  const auto& options = storage.options();
  return std::find(options.begin(), options.end(), kReadWrite) != options.end();
}

Result<> MakeOverlay(const GuestDir& root, const grpc::Storage& storage) {
  if (storage.has_fs_group()) {
    return Fail(Code::kUnimplemented, "storage {}: fs_group is not for the driver overlayfs", storage.mount_point());
  }
  const std::string parent = storage.mount_point().substr(0, storage.mount_point().rfind('/'));
  std::vector<std::string> options;
  std::vector<UniqueFd> held;
  for (const std::string& option : storage.options()) {
    if (option == kReadWrite) {
      for (const char* name : {"upper", "work"}) {
        const std::string directory = parent + "/" + name;
        TRY(root.MakeDirs(directory, 0755));
        options.push_back(TRY(Pinned(root, fmt::format("{}dir=", name), directory, &held)));
      }
      continue;
    }
    if (option.starts_with(kOthers)) {
      return Fail(Code::kUnimplemented, "storage {}: the option {} is not implemented", storage.mount_point(), option);
    }
    std::string kept = option;
    for (const std::string_view key : {"lowerdir=", "upperdir=", "workdir="}) {
      if (option.starts_with(key)) kept = TRY(Pinned(root, key, std::string_view(option).substr(key.size()), &held));
    }
    options.push_back(std::move(kept));
  }
  const auto parsed = ParseStorageOptions(options);
  const auto target = TRY(root.MakeDirs(storage.mount_point(), 0755));
  if (::mount("overlay", FdPath(target.get()).c_str(), "overlay", parsed.flags, parsed.data.c_str()) < 0) {
    return FailErrno("cannot mount an overlay at {} with the options \"{}\"", storage.mount_point(), parsed.data);
  }
  return {};
}

Result<> RemoveOverlayDirectories(const Place& place) {
  TRY(RemoveTree(place.parent.get(), "upper"));
  return RemoveTree(place.parent.get(), "work");
}

}  // namespace kata::agent
