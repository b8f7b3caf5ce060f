// SPDX-License-Identifier: Apache-2.0
#include "agent/container/base_root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "agent/container/mount_api.h"
#include "base/files.h"

namespace kata::agent {

namespace {

// The root mount according to /proc/self/mountinfo, proc(5).
struct RootMount {
  bool is_initramfs = false;          // it has no parent mount, so that pivot_root(2) cannot replace it
  std::vector<std::string> children;  // mount points of the mounts directly below it, oldest first
};

// Decodes mountinfo's octal escapes, such as \040 for a space.
std::string Unescape(const char* text) {
  std::string plain;
  for (; *text != '\0'; ++text) {
    if (text[0] == '\\' && text[1] != '\0' && text[2] != '\0' && text[3] != '\0') {
      plain += static_cast<char>((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
      text += 3;
    } else {
      plain += *text;
    }
  }
  return plain;
}

Result<RootMount> ReadRootMount() {
  const std::string text = TRY(ReadFile("/proc/self/mountinfo"));
  struct Line {
    int id;
    int parent;
    std::string point;
  };
  std::vector<Line> lines;
  size_t start = 0;
  while (start < text.size()) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = text.substr(start, end - start);
    start = end + 1;
    Line parsed{};
    std::array<std::string_view, 5> fields;  // id, parent, device, root, mount point
    std::string_view rest = line;
    for (std::string_view& field : fields) {
      field = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(field.size() + 1, rest.size()));
    }
    if (fields[4].empty()) continue;
    std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), parsed.id);
    std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), parsed.parent);
    parsed.point = Unescape(std::string(fields[4]).c_str());
    lines.push_back(std::move(parsed));
  }
  // If several mounts are at "/", the last one is on top and is this process's root.
  int root = -1;
  RootMount found;
  for (const Line& line : lines) {
    if (line.point != "/") continue;
    root = line.id;
    found.is_initramfs = line.id == line.parent;
  }
  if (root < 0) return Fail(Code::kInternal, "no mount at / in /proc/self/mountinfo");
  for (const Line& line : lines) {
    if (line.parent == root && line.id != root) found.children.push_back(line.point);
  }
  return found;
}

// Makes the working directory the root: pivot_root(2) stacks the old root on top of the new one, and the old root is
// then detached with all mounts below it.
Result<> PivotHere() {
  const UniqueFd old_root = TRY(Open("/", O_PATH | O_DIRECTORY));
  if (syscall(SYS_pivot_root, ".", ".") != 0) return FailErrno("cannot pivot into the new root");
  // Uses the descriptor of the old root, because system calls do not agree on whether "." means the new root or the
  // mount that is stacked on it.
  if (fchdir(old_root.get()) != 0) return FailErrno("cannot enter the old root");
  // The old root may be in a shared peer group; its unmount must not propagate to other namespaces.
  if (mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0)
    return FailErrno("cannot make the old root a slave");
  if (umount2(".", MNT_DETACH) != 0) return FailErrno("cannot detach the old root");
  if (chdir("/") != 0) return FailErrno("cannot enter the new root");
  return {};
}

Result<> AttachAt(int base, const char* name, const UniqueFd& mount) {
  if (mkdirat(base, name, 0755) != 0) return FailErrno("cannot make the directory {}", name);
  const UniqueFd directory = TRY(OpenBeneath(base, name, O_PATH | O_DIRECTORY));
  return Context(AttachMount(mount.get(), directory.get()), "the guest's /{}", name);
}

}  // namespace

Result<> LeaveMountNamespace() {
  if (unshare(CLONE_NEWNS) != 0) return FailErrno("cannot make a mount namespace");
  if (mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return FailErrno("cannot make the mounts slaves");
  return {};
}

Result<> EnterBase() {
  const RootMount guest = TRY(ReadRootMount());
  const UniqueFd proc = TRY(CloneMount(AT_FDCWD, "/proc", /*recursive=*/false));
  const UniqueFd sys = TRY(CloneMount(AT_FDCWD, "/sys", /*recursive=*/false));
  const UniqueFd dev = TRY(CloneMount(AT_FDCWD, "/dev", /*recursive=*/false));
  const UniqueFd base = TRY(NewFilesystem("tmpfs", "base", {"mode=755", "size=64k", "nr_inodes=64"}, 0));
  if (guest.is_initramfs) {
    // Newest first, because an older mount may be covered by a newer one.
    for (auto child = guest.children.rbegin(); child != guest.children.rend(); ++child) {
      if (umount2(child->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return FailErrno("cannot detach {}", *child);
    }
  }
  {
    const UniqueFd top = TRY(Open("/", O_PATH | O_DIRECTORY));
    TRY(AttachMount(base.get(), top.get()));
  }
  if (fchdir(base.get()) != 0) return FailErrno("cannot enter the base");
  if (guest.is_initramfs) {
    // An initramfs cannot be replaced. The base stays mounted on top of it, and chroot(2) makes the base "/".
    if (chroot(".") != 0 || chdir("/") != 0) return FailErrno("cannot make the base the root");
  } else {
    TRY(PivotHere());
  }
  TRY(AttachAt(base.get(), "proc", proc));
  TRY(AttachAt(base.get(), "sys", sys));
  TRY(AttachAt(base.get(), "dev", dev));
  if (mkdirat(base.get(), kContainerRoot + 1, 0755) != 0) return FailErrno("cannot make a directory in the base");
  return {};
}

Result<> PivotInto(int root) {
  if (fchdir(root) != 0) return FailErrno("cannot enter the container's root");
  return PivotHere();
}

}  // namespace kata::agent
