// SPDX-License-Identifier: Apache-2.0
#include "setup/config_file.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"

namespace kata::setup {
namespace {

constexpr size_t kMaxConfig = 1U << 20U;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Labels and ACLs. An attribute that the other file cannot have is no reason to leave a configuration unchanged.
void CopyAttributes(int from, int to) {
  std::string names(4096, '\0');
  const ssize_t size = flistxattr(from, names.data(), names.size());
  for (ssize_t at = 0; at < size;) {
    const std::string name(&names[static_cast<size_t>(at)]);
    std::string value(65536, '\0');
    const ssize_t length = fgetxattr(from, name.c_str(), value.data(), value.size());
    if (length >= 0) (void)fsetxattr(to, name.c_str(), value.data(), static_cast<size_t>(length), 0);
    at += static_cast<ssize_t>(name.size()) + 1;
  }
}

Result<> Fill(int file, const ConfigFile& found, const std::string& text) {
  TRY(WriteAll(file, text));
  if (found.exists) {
    const UniqueFd original = TRY(Open(found.path, O_RDONLY | O_NOFOLLOW));
    CopyAttributes(original.get(), file);
    if (fchown(file, found.status.st_uid, found.status.st_gid) != 0) return FailErrno("the owner of {}", found.path);
  }
  if (fchmod(file, found.exists ? found.status.st_mode & 07777U : 0644) != 0) return FailErrno("its mode");
  if (fsync(file) != 0) return FailErrno("fsync");
  return {};
}

// A new file at the path, with the owner and the mode of the one that was found. On an error there is none.
Result<> WriteLike(const ConfigFile& found, const std::string& path, const std::string& text) {
  const UniqueFd file = TRY(Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  auto done = Context(Fill(file.get(), found, text), "cannot write {}", path);
  if (!done) (void)unlink(path.c_str());
  return done;
}

}  // namespace

std::string BackupOf(const std::string& path) { return path + ".before-kata"; }
std::string MadeListOf(const std::string& path) { return path + ".made-by-kata"; }

Result<ConfigFile> ReadConfig(const std::string& path) {
  ConfigFile file{.path = path, .exists = false, .text = "", .status = {}};
  if (lstat(path.c_str(), &file.status) != 0) {
    if (errno == ENOENT) return file;
    return FailErrno("cannot look at {}", path);
  }
  if (S_ISLNK(file.status.st_mode)) {
    return Fail(Code::kFailedPrecondition, "{} is a symbolic link: name the file that it leads to by --file", path);
  }
  if (!S_ISREG(file.status.st_mode)) {
    return Fail(Code::kFailedPrecondition, "{} is no regular file: name another by --file", path);
  }
  if (file.status.st_nlink > 1) {
    return Fail(Code::kFailedPrecondition,
                "{} has other names (hard links), which a change would cut off: copy it first", path);
  }
  file.exists = true;
  file.text = TRY(ReadRegularFile(path, kMaxConfig));
  return file;
}

Result<> ReplaceConfig(const ConfigFile& found, const std::string& text) {
  const std::string path = fmt::format("{}.kata-{}", found.path, getpid());
  TRY(WriteLike(found, path, text));
  Result<> done;
  const auto now = ReadConfig(found.path);
  if (!now || now->exists != found.exists || now->text != found.text) {
    done = Fail(Code::kAborted, "{} has been changed meanwhile: try again", found.path);
  } else if (rename(path.c_str(), found.path.c_str()) != 0) {
    done = FailErrno("cannot replace {}", found.path);
  }
  if (!done) (void)unlink(path.c_str());
  return done;
}

Result<> BackUp(const ConfigFile& found) {
  const std::string path = BackupOf(found.path);
  const ConfigFile there = TRY(ReadConfig(path));
  if (!there.exists) return WriteLike(found, path, found.text);
  if (there.text == found.text) return {};
  return Fail(Code::kAlreadyExists, "{} is the backup of another state: move it away first", path);
}

std::vector<std::string> MissingDirectories(const std::string& path) {
  std::vector<std::string> missing;
  std::string directory = DirectoryOf(path);
  while (directory != "/" && access(directory.c_str(), F_OK) != 0 && errno == ENOENT) {
    missing.insert(missing.begin(), directory);
    directory = DirectoryOf(directory);
  }
  return missing;
}

Result<> MakeDirectories(const std::vector<std::string>& directories) {
  for (const std::string& directory : directories) {
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return FailErrno("cannot make {}", directory);
  }
  return {};
}

Result<> RemoveConfig(const std::string& path, const std::vector<std::string>& directories) {
  if (unlink(path.c_str()) != 0) return FailErrno("cannot remove {}", path);
  (void)unlink(MadeListOf(path).c_str());  // only beside some
  for (std::string above = DirectoryOf(path); above != "/"; above = DirectoryOf(above)) {
    if (std::find(directories.begin(), directories.end(), above) == directories.end()) break;
    if (rmdir(above.c_str()) != 0) break;  // others use it by now
  }
  return {};
}

}  // namespace kata::setup
