// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/copy_file.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"

namespace kata::agent {

namespace {

constexpr char kPartSuffix[] = ".kata-part";
constexpr mode_t kPermissions = 07777;

Result<> MakeDirectory(const Place& place, const grpc::CopyFileRequest& request) {
  const auto mode = static_cast<mode_t>(request.file_mode()) & kPermissions;
  if (::mkdirat(place.parent.get(), place.name.c_str(), mode) < 0 && errno != EEXIST) {
    return FailErrno("cannot make the directory {}", request.path());
  }
  const auto fd = TRY(OpenBeneath(place.parent.get(), place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // The mode is set after the owner, because a change of owner clears the set-id bits.
  if (::fchown(fd.get(), static_cast<uid_t>(request.uid()), static_cast<gid_t>(request.gid())) < 0 ||
      ::fchmod(fd.get(), mode) < 0) {
    return FailErrno("cannot set owner and mode of {}", request.path());
  }
  return {};
}

Result<> Publish(const Place& place, const std::string& part, const std::string& path) {
  if (::renameat(place.parent.get(), part.c_str(), place.parent.get(), place.name.c_str()) < 0) {
    return FailErrno("cannot put {} in its place", path);
  }
  return {};
}

Result<> MakeLink(const Place& place, const std::string& part, const grpc::CopyFileRequest& request) {
  const std::string& target = request.data();
  if (target.empty() || target.size() >= PATH_MAX || target.find('\0') != std::string::npos) {
    return Fail(Code::kInvalidArgument, "the target of the link {} is empty, too long or has a zero byte",
                request.path());
  }
  if (::unlinkat(place.parent.get(), part.c_str(), 0) < 0 && errno != ENOENT) {
    return FailErrno("cannot remove an earlier part of {}", request.path());
  }
  if (::symlinkat(target.c_str(), place.parent.get(), part.c_str()) < 0) {
    return FailErrno("cannot make the link {}", request.path());
  }
  if (::fchownat(place.parent.get(), part.c_str(), static_cast<uid_t>(request.uid()), static_cast<gid_t>(request.gid()),
                 AT_SYMLINK_NOFOLLOW) < 0) {
    return FailErrno("cannot set the owner of {}", request.path());
  }
  return Publish(place, part, request.path());
}

Result<> StorePiece(const Place& place, const std::string& part, const grpc::CopyFileRequest& request) {
  const auto length = static_cast<int64_t>(request.data().size());
  const int64_t offset = request.offset();
  if (offset < 0 || request.file_size() < 0 || offset > request.file_size() - length) {
    return Fail(Code::kInvalidArgument, "{} bytes at {} of {} do not fit into its {} bytes", length, offset,
                request.path(), request.file_size());
  }
  const int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (offset == 0 ? O_TRUNC : 0);
  const auto fd = TRY(Context(OpenBeneath(place.parent.get(), part, flags, 0600), "cannot write {}", request.path()));
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) return FailErrno("cannot look at {}", request.path());
  if (!S_ISREG(status.st_mode)) return Fail(Code::kInvalidArgument, "{} is no regular file", request.path());
  if (status.st_size < offset) {
    return Fail(Code::kOutOfRange, "a piece at {} of {} came before those in front of it", offset, request.path());
  }
  if (::lseek(fd.get(), offset, SEEK_SET) < 0) return FailErrno("cannot write {} at {}", request.path(), offset);
  TRY(Context(WriteAll(fd.get(), request.data()), "cannot write {}", request.path()));
  if (offset + length < request.file_size()) return {};
  const auto mode = static_cast<mode_t>(request.file_mode()) & kPermissions;
  if (::fchown(fd.get(), static_cast<uid_t>(request.uid()), static_cast<gid_t>(request.gid())) < 0 ||
      ::fchmod(fd.get(), mode) < 0) {
    return FailErrno("cannot set owner and mode of {}", request.path());
  }
  return Publish(place, part, request.path());
}

}  // namespace

Result<> CopyFile(const GuestDir& root, const grpc::CopyFileRequest& request) {
  const mode_t dir_mode = request.dir_mode() != 0 ? static_cast<mode_t>(request.dir_mode()) & kPermissions : 0755;
  const auto place = TRY(root.Find(request.path(), /*make_parents=*/true, dir_mode));
  const std::string part = place.name + kPartSuffix;
  switch (request.file_mode() & S_IFMT) {
    case S_IFDIR:
      return MakeDirectory(place, request);
    case S_IFLNK:
      return MakeLink(place, part, request);
    case S_IFREG:
    case 0:
      return StorePiece(place, part, request);
    default:
      return Fail(Code::kInvalidArgument, "{}: file_mode {:o} is neither a file, a directory nor a link",
                  request.path(), request.file_mode());
  }
}

}  // namespace kata::agent
