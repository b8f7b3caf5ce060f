// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/rootfs_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/user_namespace.h"
#include "sandbox/devices/loop.h"
#include "sandbox/files/shared_files.h"

namespace kata::sandbox {
namespace {

// mount(2) reads one page of data, including the final zero.
constexpr size_t kMaxData = 4095;
constexpr int kMaxMounts = 64;
constexpr std::string_view kLowerDir = "lowerdir=";
constexpr std::string_view kUidMap = "uidmap=";
constexpr std::string_view kGidMap = "gidmap=";

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
  IdMap uids;
  IdMap gids;
};

// "0:100000:65536,70000:200000:1"
Result<IdMap> ParseIdMap(std::string_view list) {
  IdMap map;
  for (std::string_view rest = list; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    std::array<uint32_t, 3> numbers{};
    const char* at = one.data();
    const char* const end = one.data() + one.size();
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (i > 0 && (at == end || *at++ != ':')) return Fail(Code::kInvalidArgument, "{}: no mapping of ids", list);
      const auto [next, error] = std::from_chars(at, end, numbers[i]);
      if (error != std::errc()) return Fail(Code::kInvalidArgument, "{}: no mapping of ids", list);
      at = next;
    }
    if (at != end) return Fail(Code::kInvalidArgument, "{}: no mapping of ids", list);
    map.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return map;
}

Result<Options> ParseOptions(const containerd::types::Mount& mount) {
  Options options;
  for (const std::string& word : mount.options()) {
    if (word.starts_with(kUidMap) || word.starts_with(kGidMap)) {
      IdMap map = TRY(ParseIdMap(std::string_view(word).substr(kUidMap.size())));
      (word.starts_with(kUidMap) ? options.uids : options.gids) = std::move(map);
      continue;
    }
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

// A detached copy of the tree with mapped ids.
Result<UniqueFd> MappedTree(int source, const Options& options) {
  const UniqueFd user_namespace = TRY(MakeUserNamespace("", options.uids, options.gids));
  UniqueFd tree = TRY(CloneTree(source, /*recursive=*/true));
  TRY(MapIds(tree.get(), user_namespace.get()));
  return tree;
}

// Replaces the lower layers of an overlay by those of a mount of their common directory with mapped ids. It is attached
// at the overlay's own place, beneath it, and becomes the working directory.
Result<> MapLayers(Options& options, int place) {
  for (std::string& word : options.data) {
    if (!word.starts_with(kLowerDir)) continue;
    std::vector<std::string> layers = Layers(std::string_view(word).substr(kLowerDir.size()));
    const std::string directory = layers.empty() ? "" : CommonDirectory(layers);
    if (directory.size() < 2 || word.find('\\') != std::string::npos) {
      return Fail(Code::kInvalidArgument, "{}: layers with mapped ids must have a directory in common", word);
    }
    const UniqueFd common = TRY(Open(directory, O_PATH | O_DIRECTORY));
    const UniqueFd mapped = TRY(Context(MappedTree(common.get(), options), "{}", directory));
    TRY(AttachTree(mapped.get(), place));
    if (fchdir(mapped.get()) != 0) return FailErrno("cannot enter {}", directory);
    for (std::string& layer : layers) layer.erase(0, directory.size());
    word = fmt::format("{}{}", kLowerDir, fmt::join(layers, ":"));
    return {};
  }
  return Fail(Code::kInvalidArgument, "an overlay with mapped ids has no lowerdir");
}

// A descriptor of the mount point, or of what is mounted on it now.
Result<UniqueFd> OpenPlace(const containerd::types::Mount& mount, const std::string& rootfs) {
  const UniqueFd root = TRY(Open(rootfs, O_PATH | O_DIRECTORY));
  return OpenInRoot(root.get(), mount.target().empty() ? "/" : mount.target(), O_PATH);
}

Result<> MountOne(const containerd::types::Mount& mount, const std::string& rootfs) {
  if (mount.type().empty() || mount.source().empty()) {
    return Fail(Code::kInvalidArgument, "it has no type or no source");
  }
  UniqueFd place = TRY(OpenPlace(mount, rootfs));
  Options options = TRY(ParseOptions(mount));
  const bool mapped = !options.uids.empty() || !options.gids.empty();
  const bool is_overlay = mount.type() == "overlay";
  if (mapped && is_overlay) {
    TRY(MapLayers(options, place.get()));
    place = TRY(OpenPlace(mount, rootfs));
  }
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
    if (errno == ENODEV) {
      return Fail(Code::kUnimplemented, "cannot mount {}: this host's kernel has no file system {}; load its module",
                  mount.source(), mount.type());
    }
    return FailErrno("cannot mount {} (type {}, {})", mount.source(), mount.type(), data);
  }
  // A bind ignores other flags until it is remounted. `place` refers to the directory beneath the new mount, so the
  // path is opened again.
  constexpr unsigned long kIgnored = MS_BIND | MS_REC;
  if ((options.flags & MS_BIND) != 0 && (options.flags & ~kIgnored) != 0) {
    const UniqueFd bound = TRY(OpenPlace(mount, rootfs));
    const unsigned long flags = (options.flags & ~static_cast<unsigned long>(MS_REC)) | MS_REMOUNT;
    if (::mount(nullptr, FdPath(bound.get()).c_str(), nullptr, flags, nullptr) != 0) {
      return FailErrno("cannot set the options of {}", mount.source());
    }
  }
  if (mapped && !is_overlay) {
    const UniqueFd bound = TRY(OpenPlace(mount, rootfs));
    const UniqueFd tree = TRY(Context(MappedTree(bound.get(), options), "{}", mount.source()));
    TRY(AttachTree(tree.get(), bound.get()));
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
