// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/rootfs_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "sandbox/devices/loop.h"
#include "sandbox/files/shared_files.h"

namespace kata::sandbox {
namespace {

// mount(2) reads one page of data, including the final zero.
constexpr size_t kMaxData = 4095;
constexpr int kMaxMounts = 64;
constexpr std::string_view kLowerDir = "lowerdir=";

struct Flag {
  std::string_view name;
  unsigned long set;
  unsigned long clear;
};
constexpr Flag kFlags[] = {{"ro", MS_RDONLY, 0},
                           {"rw", 0, MS_RDONLY},
                           {"nosuid", MS_NOSUID, 0},
                           {"suid", 0, MS_NOSUID},
                           {"nodev", MS_NODEV, 0},
                           {"dev", 0, MS_NODEV},
                           {"noexec", MS_NOEXEC, 0},
                           {"exec", 0, MS_NOEXEC},
                           {"sync", MS_SYNCHRONOUS, 0},
                           {"async", 0, MS_SYNCHRONOUS},
                           {"dirsync", MS_DIRSYNC, 0},
                           {"noatime", MS_NOATIME, 0},
                           {"atime", 0, MS_NOATIME},
                           {"nodiratime", MS_NODIRATIME, 0},
                           {"relatime", MS_RELATIME, 0},
                           {"norelatime", 0, MS_RELATIME},
                           {"strictatime", MS_STRICTATIME, 0},
                           {"bind", MS_BIND, 0},
                           {"rbind", MS_BIND | MS_REC, 0},
                           {"defaults", 0, 0}};

struct Options {
  unsigned long flags = 0;
  std::vector<std::string> data;
};

Options ParseOptions(const containerd::types::Mount& mount) {
  Options options;
  for (const std::string& word : mount.options()) {
    const auto* known =
        std::find_if(std::begin(kFlags), std::end(kFlags), [&word](const Flag& flag) { return flag.name == word; });
    if (known == std::end(kFlags)) {
      options.data.push_back(word);
      continue;
    }
    options.flags = (options.flags & ~known->clear) | known->set;
  }
  return options;
}

std::string Join(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ",")); }

std::vector<std::string> Layers(std::string_view list) {
  std::vector<std::string> layers;
  while (!list.empty()) {
    layers.emplace_back(list.substr(0, list.find(':')));
    list.remove_prefix(std::min(list.size(), layers.back().size() + 1));
  }
  return layers;
}

// The common directory of all layers, with a slash at its end.
std::string CommonDirectory(const std::vector<std::string>& layers) {
  std::string common = layers.front();
  for (const std::string& layer : layers) {
    const auto differ = std::mismatch(common.begin(), common.end(), layer.begin(), layer.end()).first;
    common.erase(differ, common.end());
  }
  return common.substr(0, common.rfind('/') + 1);
}

// The paths of a large image's layers may take more than a page. They are made relative to their common directory,
// which becomes the working directory.
void ShortenLayers(std::vector<std::string>& data) {
  for (std::string& word : data) {
    if (!word.starts_with(kLowerDir)) continue;
    std::vector<std::string> layers = Layers(std::string_view(word).substr(kLowerDir.size()));
    // A colon in a name is escaped as "\:". A list with escapes is left unchanged.
    if (layers.size() < 2 || word.find('\\') != std::string::npos) continue;
    const std::string directory = CommonDirectory(layers);
    if (directory.empty() || chdir(directory.c_str()) != 0) continue;
    for (std::string& layer : layers) layer.erase(0, directory.size());
    word = fmt::format("{}{}", kLowerDir, fmt::join(layers, ":"));
    return;
  }
}

Result<> MountOne(const containerd::types::Mount& mount, const std::string& rootfs) {
  if (mount.type().empty() || mount.source().empty()) {
    return Fail(Code::kInvalidArgument, "it has no type or no source");
  }
  const UniqueFd root = TRY(Open(rootfs, O_PATH | O_DIRECTORY));
  const UniqueFd place = TRY(OpenInRoot(root.get(), mount.target().empty() ? "/" : mount.target(), O_PATH));
  Options options = ParseOptions(mount);
  if (mount.type() == "bind") options.flags |= MS_BIND;
  if (Join(options.data).size() > kMaxData) ShortenLayers(options.data);
  UniqueFd loop;
  std::string source = mount.source();
  if (std::erase(options.data, "loop") > 0) {
    loop = TRY(AttachLoop(source, (options.flags & MS_RDONLY) != 0));
    source = FdPath(loop.get());
  }
  const std::string data = Join(options.data);
  if (data.size() > kMaxData) {
    return Fail(Code::kInvalidArgument, "its options have {} bytes, the kernel takes {}", data.size(), kMaxData);
  }
  const std::string path = FdPath(place.get());
  if (::mount(source.c_str(), path.c_str(), mount.type().c_str(), options.flags, data.c_str()) != 0) {
    return FailErrno("cannot mount {} (type {}, {})", mount.source(), mount.type(), data);
  }
  // A bind ignores other flags until it is remounted. `place` refers to the directory beneath the new mount, so the
  // path is opened again.
  constexpr unsigned long kIgnored = MS_BIND | MS_REC;
  if ((options.flags & MS_BIND) != 0 && (options.flags & ~kIgnored) != 0) {
    const UniqueFd again = TRY(Open(rootfs, O_PATH | O_DIRECTORY));
    const UniqueFd bound = TRY(OpenInRoot(again.get(), mount.target().empty() ? "/" : mount.target(), O_PATH));
    const unsigned long flags = (options.flags & ~static_cast<unsigned long>(MS_REC)) | MS_REMOUNT;
    if (::mount(nullptr, FdPath(bound.get()).c_str(), nullptr, flags, nullptr) != 0) {
      return FailErrno("cannot set the options of {}", mount.source());
    }
  }
  return {};
}

Result<UniqueFd> MountAll(const RootfsMounts& mounts, const std::string& rootfs) {
  // The namespace and its mounts end when this process returns to its own namespace.
  if (unshare(CLONE_NEWNS) != 0) return FailErrno("cannot make a mount namespace for the rootfs");
  if (::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return FailErrno("cannot cut the rootfs's mounts off from the host's");
  }
  for (int i = 0; i < mounts.size(); ++i) TRY(Context(MountOne(mounts[i], rootfs), "rootfs[{}]", i));
  const UniqueFd root = TRY(Open(rootfs, O_PATH | O_DIRECTORY));
  return CloneTree(root.get(), /*recursive=*/true);
}

}  // namespace

Result<UniqueFd> MountRootfs(const RootfsMounts& mounts, const std::string& rootfs, const MountNamespaces& spaces) {
  if (mounts.size() > kMaxMounts) {
    return Fail(Code::kInvalidArgument, "rootfs: {} mounts, at most {} are taken", mounts.size(), kMaxMounts);
  }
  return spaces.OnHost([&] { return MountAll(mounts, rootfs); });
}

}  // namespace kata::sandbox
