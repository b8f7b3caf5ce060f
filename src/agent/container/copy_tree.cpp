// SPDX-License-Identifier: Apache-2.0
// tmpcopyup: copies the directory that a tmpfs is going to cover into that tmpfs.
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "agent/container/mounts.h"
#include "base/files.h"

namespace kata::agent {

namespace {

Result<> CopyFile(int source, int target, const std::string& name, uint64_t* limit) {
  const UniqueFd from(openat(source, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!from) return FailErrno("cannot open {}", name);
  const UniqueFd to(openat(target, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return FailErrno("cannot make {}", name);
  while (true) {
    const ssize_t count = sendfile(to.get(), from.get(), nullptr, 1U << 20U);
    if (count < 0) return FailErrno("cannot copy {}", name);
    if (count == 0) return {};
    if (static_cast<uint64_t>(count) > *limit) return Fail(Code::kResourceExhausted, "there is too much to copy");
    *limit -= static_cast<uint64_t>(count);
  }
}

Result<> CopyLink(int source, int target, const std::string& name) {
  std::array<char, PATH_MAX> text{};
  const ssize_t length = readlinkat(source, name.c_str(), text.data(), text.size() - 1);
  if (length < 0 || symlinkat(text.data(), target, name.c_str()) != 0)
    return FailErrno("cannot copy the link {}", name);
  return {};
}

Result<> CopyEntry(int source, int target, const std::string& name, uint64_t* limit) {
  struct stat info {};
  if (fstatat(source, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return FailErrno("cannot look at {}", name);
  if (S_ISREG(info.st_mode)) {
    TRY(CopyFile(source, target, name, limit));
  } else if (S_ISLNK(info.st_mode)) {
    TRY(CopyLink(source, target, name));
  } else if (S_ISDIR(info.st_mode)) {
    if (mkdirat(target, name.c_str(), 0700) != 0) return FailErrno("cannot make the directory {}", name);
    const UniqueFd from = TRY(OpenBeneath(source, name, O_RDONLY | O_DIRECTORY));
    const UniqueFd to = TRY(OpenBeneath(target, name, O_RDONLY | O_DIRECTORY));
    TRY(CopyTree(from.get(), to.get(), limit));
  } else if (S_ISFIFO(info.st_mode)) {
    if (mkfifoat(target, name.c_str(), 0600) != 0) return FailErrno("cannot make the FIFO {}", name);
  } else {
    return {};  // devices and sockets are not copied
  }
  if (fchownat(target, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot set the owner of {}", name);
  }
  // The mode is set after the owner, because a change of owner clears the set-id bits.
  if (!S_ISLNK(info.st_mode) && fchmodat(target, name.c_str(), info.st_mode & 07777U, 0) != 0) {
    return FailErrno("cannot set the mode of {}", name);
  }
  return {};
}

}  // namespace

Result<> CopyTree(int source, int target, uint64_t* limit) {
  for (const std::string& name : TRY(ListDir(source))) TRY(CopyEntry(source, target, name, limit));
  return {};
}

}  // namespace kata::agent
