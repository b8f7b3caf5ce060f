// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/watched.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <unistd.h>

#include <array>

#include "base/files.h"

namespace kata::agent {

namespace {

// Kata's limits: a larger directory is not copied.
constexpr size_t kMostFiles = 16;
constexpr off_t kMostBytes = 1 << 20;
// An existing copy may grow to these limits, since a running container cannot change from the copy to a bind mount.
constexpr size_t kMostEntries = 1024;
constexpr off_t kLargestFile = 8 << 20;
constexpr char kNewName[] = ".kata-new";
constexpr char kData[] = "..data";

struct Split {
  std::string directory;  // "." for the top
  std::string name;
};

Split SplitPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Result<UniqueFd> OpenDirectory(int top, const std::string& directory) {
  return OpenBeneath(top, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

}  // namespace

bool Watched::Entry::Same(const Entry& other) const {
  // Compares ctime too, which changes when only the mode or the owner does.
  const auto& a = status;
  const auto& b = other.status;
  const auto same_time = [](const timespec& x, const timespec& y) {
    return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
  };
  if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid || link != other.link) return false;
  if (!S_ISREG(a.st_mode)) return true;
  return a.st_ino == b.st_ino && a.st_size == b.st_size && same_time(a.st_mtim, b.st_mtim) &&
         same_time(a.st_ctim, b.st_ctim);
}

Result<> Watched::LookInto(int directory, const std::string& prefix, Tree* tree) {
  for (const std::string& name : TRY(ListDir(directory))) {
    const std::string path = prefix + name;
    Entry entry;
    if (::fstatat(directory, name.c_str(), &entry.status, AT_SYMLINK_NOFOLLOW) < 0) {
      return FailErrno("cannot look at {}", path);
    }
    const mode_t type = entry.status.st_mode & S_IFMT;
    if (type == S_IFLNK) {
      std::array<char, PATH_MAX> text{};
      const ssize_t length = ::readlinkat(directory, name.c_str(), text.data(), text.size() - 1);
      if (length < 0) return FailErrno("cannot read the link {}", path);
      entry.link.assign(text.data(), static_cast<size_t>(length));
    } else if (type != S_IFREG && type != S_IFDIR) {
      continue;  // devices, FIFOs and sockets are not copied
    }
    if (tree->size() >= kMostEntries) {
      return Fail(Code::kResourceExhausted, "it has more than {} entries", kMostEntries);
    }
    (*tree)[path] = entry;
    if (type == S_IFDIR) {
      const auto inner = TRY(OpenDirectory(directory, name));
      TRY(LookInto(inner.get(), path + "/", tree));
    }
  }
  return {};
}

Result<Watched::Tree> Watched::Look() const {
  Tree tree;
  // Reading a directory moves the position of its open file description, so this needs one of its own.
  const auto top = TRY(OpenDirectory(source_.get(), "."));
  TRY(LookInto(top.get(), "", &tree));
  return tree;
}

Result<bool> Watched::Fits() const {
  auto tree = Look();
  if (!tree) {
    if (tree.error().code() == Code::kResourceExhausted) return false;
    return tl::unexpected<Error>(std::move(tree).error());
  }
  size_t files = 0;
  off_t bytes = 0;
  for (const auto& [path, entry] : *tree) {
    if (!S_ISREG(entry.status.st_mode)) continue;
    ++files;
    bytes += entry.status.st_size;
  }
  return files <= kMostFiles && bytes <= kMostBytes;
}

Result<> Watched::Copy(const std::string& path, const Entry& entry) const {
  const Split split = SplitPath(path);
  const auto directory = TRY(OpenDirectory(target_.get(), split.directory));
  const char* name = split.name.c_str();
  const mode_t mode = entry.status.st_mode & 07777;
  const bool is_directory = S_ISDIR(entry.status.st_mode);
  const char* made = is_directory ? name : kNewName;
  if (is_directory) {
    if (::mkdirat(directory.get(), name, 0700) < 0 && errno != EEXIST)
      return FailErrno("cannot make the directory {}", path);
  } else {
    (void)::unlinkat(directory.get(), kNewName, 0);
    if (S_ISLNK(entry.status.st_mode)) {
      if (::symlinkat(entry.link.c_str(), directory.get(), kNewName) < 0)
        return FailErrno("cannot make the link {}", path);
    } else {
      const auto from = TRY(OpenBeneath(source_.get(), path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
      const std::string data = TRY(Context(ReadAll(from.get(), kLargestFile), "cannot read {}", path));
      const auto to = TRY(OpenBeneath(directory.get(), kNewName, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      TRY(Context(WriteAll(to.get(), data), "cannot copy {}", path));
    }
  }
  if (::fchownat(directory.get(), made, entry.status.st_uid, entry.status.st_gid, AT_SYMLINK_NOFOLLOW) < 0) {
    return FailErrno("cannot set the owner of {}", path);
  }
  // The mode is set after the owner, because a change of owner clears the set-id bits.
  if (!S_ISLNK(entry.status.st_mode) && ::fchmodat(directory.get(), made, mode, 0) < 0) {
    return FailErrno("cannot set the mode of {}", path);
  }
  if (!is_directory && ::renameat(directory.get(), kNewName, directory.get(), name) < 0) {
    return FailErrno("cannot put {} in its place", path);
  }
  return {};
}

Result<> Watched::Update() {
  Tree tree = TRY(Look());
  // Removes entries whose type has changed, to make room for the new ones.
  for (auto old = known_.begin(); old != known_.end();) {
    const auto now = tree.find(old->first);
    if (now != tree.end() && ((now->second.status.st_mode ^ old->second.status.st_mode) & S_IFMT) != 0) {
      TRY(RemoveTree(TRY(OpenDirectory(target_.get(), SplitPath(old->first).directory)).get(),
                     SplitPath(old->first).name));
      old = known_.erase(old);
    } else {
      ++old;
    }
  }
  const auto take = [&](auto&& wanted) -> Result<> {
    for (const auto& [path, entry] : tree) {
      if (!wanted(path, entry)) continue;
      const auto old = known_.find(path);
      if (old != known_.end() && old->second.Same(entry)) continue;
      TRY(Copy(path, entry));
      known_[path] = entry;
    }
    return {};
  };
  TRY(take([](const std::string&, const Entry& entry) { return !S_ISLNK(entry.status.st_mode); }));
  TRY(take([](const std::string& path, const Entry& entry) { return S_ISLNK(entry.status.st_mode) && path == kData; }));
  TRY(take([](const std::string&, const Entry& entry) { return S_ISLNK(entry.status.st_mode); }));
  for (auto old = known_.rbegin(); old != known_.rend(); ++old) {
    if (tree.contains(old->first)) continue;
    const auto directory = OpenDirectory(target_.get(), SplitPath(old->first).directory);
    if (directory) TRY(RemoveTree(directory->get(), SplitPath(old->first).name));
  }
  known_ = std::move(tree);
  return {};
}

}  // namespace kata::agent
