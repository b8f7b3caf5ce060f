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

// What mountinfo(5) tells of the root mount.
struct RootMount {
  bool is_initramfs = false;          // it has no mount above it, so that nothing can be put in its place
  std::vector<std::string> children;  // where mounts are attached to it, in the order of their making
};

// Spaces and the like are \040 in mountinfo.
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
  // The last of several at "/" is the one on top, which is the root of this process.
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

// pivot_root(2) into the working directory, with the old root stacked on the new one, whence it is detached with all
// that is mounted in it.
Result<> PivotHere() {
  const UniqueFd old_root = TRY(Open("/", O_PATH | O_DIRECTORY));
  if (syscall(SYS_pivot_root, ".", ".") != 0) return FailErrno("cannot pivot into the new root");
  // By its descriptor: "." is the new root to some calls, and what is stacked on it to others.
  if (fchdir(old_root.get()) != 0) return FailErrno("cannot enter the old root");
  // The old root came from elsewhere and may be shared; its unmount concerns nobody but us.
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
    // In the order of their making, backwards: one may lie under another that came later.
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
    // The base covers the initramfs, as the root of any machine does; chroot(2) so that "/" means the base.
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
