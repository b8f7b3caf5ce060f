// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <memory>

#include "base/path_walk.h"

namespace kata {
namespace {

bool openat2_disabled = false;

// openat2(2). Returns -1 with errno ENOSYS on kernels without it. Repeats after EAGAIN, which means that a rename raced
// with the path resolution.
int Openat2(int dirfd, const std::string& path, int flags, mode_t mode, uint64_t resolve) {
  if (openat2_disabled) {
    errno = ENOSYS;
    return -1;
  }
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = resolve;
  for (int attempt = 0; attempt < 128; ++attempt) {
    const auto fd = static_cast<int>(syscall(SYS_openat2, dirfd, path.c_str(), &how, sizeof how));
    if (fd >= 0 || errno != EAGAIN) return fd;
  }
  return -1;
}

Result<std::string> CheckedPath(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "a path has a NUL byte in it");
  }
  return std::string(path.empty() ? "." : path);
}

}  // namespace

void DisableOpenat2ForTest(bool disabled) { openat2_disabled = disabled; }

std::string FdPath(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

Result<std::string> PathOfFd(int fd) {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = readlink(FdPath(fd).c_str(), path.data(), path.size());
  if (length < 0) return FailErrno("cannot read where a descriptor is");
  return std::string(path.data(), static_cast<size_t>(length));
}

std::string UnescapeMountinfo(std::string_view text) {
  const auto digit = [text](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

Result<std::string> ReadAll(int fd, size_t limit) {
  std::string data;
  size_t used = 0;
  while (true) {
    if (used == data.size()) data.resize(std::min(limit + 1, std::max<size_t>(4096, data.size() * 2)));
    const ssize_t count = read(fd, data.data() + used, data.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("cannot read");
    if (count == 0) break;
    used += static_cast<size_t>(count);
    if (used > limit) return Fail(Code::kOutOfRange, "more than {} bytes", limit);
  }
  data.resize(used);
  return data;
}

Result<std::string> ReadFile(const std::string& path, size_t limit) {
  const auto fd = TRY(Open(path, O_RDONLY));
  return Context(ReadAll(fd.get(), limit), "reading {}", path);
}

Result<std::string> ReadRegularFile(const std::string& path, size_t limit) {
  const auto fd = TRY(Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return FailErrno("cannot look at {}", path);
  if (!S_ISREG(status.st_mode)) return Fail(Code::kInvalidArgument, "{} is not a regular file", path);
  return Context(ReadAll(fd.get(), limit), "reading {}", path);
}

Result<> WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = write(fd, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("cannot write");
    data.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<> WriteFile(const std::string& path, std::string_view data) {
  const auto fd = TRY(Open(path, O_WRONLY));
  const ssize_t count = write(fd.get(), data.data(), data.size());
  if (count < 0) return FailErrno("cannot write \"{}\" to {}", data, path);
  if (static_cast<size_t>(count) != data.size()) return Fail(Code::kUnknown, "short write to {}", path);
  return {};
}

Result<> WriteFileAtomic(int dirfd, const std::string& name, std::string_view data, mode_t mode) {
  static std::atomic<unsigned> serial{0};
  const std::string temporary = fmt::format(".{}.{}.{}", name, getpid(), serial++);
  const UniqueFd fd(openat(dirfd, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return FailErrno("cannot make {}", temporary);
  Result<> written = WriteAll(fd.get(), data);
  if (written && renameat(dirfd, temporary.c_str(), dirfd, name.c_str()) != 0) written = FailErrno("cannot rename");
  if (!written) unlinkat(dirfd, temporary.c_str(), 0);
  return Context(std::move(written), "writing {}", name);
}

Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return FailErrno("cannot open {}", path);
  return fd;
}

Result<UniqueFd> OpenBeneath(int dirfd, std::string_view path, int flags, mode_t mode) {
  const std::string checked = TRY(CheckedPath(path));
  UniqueFd fd(Openat2(dirfd, checked, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
  if (!fd && errno == ENOSYS) return WalkBeneath(dirfd, checked, flags, mode);
  if (!fd) return FailErrno("cannot open {} beneath its directory", path);
  return fd;
}

Result<UniqueFd> OpenInRoot(int rootfd, std::string_view path, int flags, mode_t mode) {
  const std::string checked = TRY(CheckedPath(path));
  UniqueFd fd(Openat2(rootfd, checked, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
  if (!fd && errno == ENOSYS) return WalkInRoot(rootfd, checked, flags, mode);
  if (!fd) return FailErrno("cannot open {} in the root directory", path);
  return fd;
}

Result<UniqueFd> MakeDirsInRoot(int rootfd, std::string_view path, mode_t mode) {
  return MakeInRoot(rootfd, std::string(path), /*is_file=*/false, mode, mode);
}

Result<UniqueFd> MakeFileInRoot(int rootfd, std::string_view path, mode_t mode) {
  return MakeInRoot(rootfd, std::string(path), /*is_file=*/true, mode, 0755);
}

Result<std::vector<std::string>> ListDir(int dirfd) {
  // A new open file description: fdopendir takes it over, and its read position must not change the caller's.
  const int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return FailErrno("cannot open a directory to list it");
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(copy), closedir);
  if (!dir) return FailErrno("cannot list a directory");
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return FailErrno("cannot list a directory");
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace kata
