// SPDX-License-Identifier: Apache-2.0
#include "runtime/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "oci/parse.h"
#include "oci/validate.h"
#include "runtime/recover.h"

namespace kata::runtime {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

Result<> CheckId(const std::string& id) {
  // runc's words, which people search for; what is wrong with the id follows them.
  return Context(oci::ValidateId(id), "invalid container ID format");
}

Result<UniqueFd> OpenRoot(const std::string& root) { return Open(root, O_RDONLY | O_DIRECTORY); }

}  // namespace

Result<UniqueFd> ClaimDirectory(const std::string& root, const std::string& id) {
  TRY(CheckId(id));
  std::error_code error;
  std::filesystem::create_directories(root, error);
  if (error) return FailWith(error.value(), "cannot make the state's folder {}", root);
  const UniqueFd parent = TRY(OpenRoot(root));
  // mkdir is the claim: of two that come at once, one gets EEXIST.
  if (mkdirat(parent.get(), id.c_str(), 0700) != 0) {
    if (errno == EEXIST) return Fail(Code::kAlreadyExists, "container with given ID already exists");
    return FailErrno("cannot make {}/{}", root, id);
  }
  return OpenBeneath(parent.get(), id, kOpenDirectory);
}

Result<UniqueFd> OpenDirectory(const std::string& root, const std::string& id) {
  TRY(CheckId(id));
  auto parent = OpenRoot(root);
  if (!parent && parent.error().code() == Code::kNotFound) return Fail(Code::kNotFound, "container does not exist");
  if (!parent) return parent;
  auto directory = OpenBeneath(parent->get(), id, kOpenDirectory);
  if (!directory && directory.error().code() == Code::kNotFound) {
    return Fail(Code::kNotFound, "container does not exist");
  }
  return directory;
}

Result<Record> FindContainer(const std::string& root, const std::string& id) {
  Record record;
  record.id = id;
  record.directory = TRY(OpenDirectory(root, id));
  auto state = sandbox::LoadState(record.directory.get());
  if (!state && state.error().code() == Code::kNotFound) return FindFolder(root, id);
  record.state = TRY(Context(std::move(state), "cannot read the state of {}", id));
  return record;
}

Result<Record> FindFolder(const std::string& root, const std::string& id) {
  Record record;
  record.id = id;
  record.directory = TRY(OpenDirectory(root, id));
  RecoverState(id, record.directory.get(), record.state);
  return record;
}

Result<std::vector<Record>> ListContainers(const std::string& root) {
  std::vector<Record> records;
  auto parent = OpenRoot(root);
  if (!parent && parent.error().code() == Code::kNotFound) return records;
  if (!parent) return tl::unexpected(std::move(parent).error());
  for (const std::string& id : TRY(ListDir(parent->get()))) {
    struct stat info {};
    if (fstatat(parent->get(), id.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode)) continue;
    auto record = FindContainer(root, id);
    if (record) {
      records.push_back(std::move(*record));
    } else if (record.error().code() != Code::kNotFound) {  // one that was deleted meanwhile is no news
      log::Warn("skipping {}/{}: {}", root, id, record.error().message());
    }
  }
  return records;
}

Result<> RemoveDirectory(const std::string& root, const std::string& id) {
  const UniqueFd parent = TRY(OpenRoot(root));
  return RemoveTree(parent.get(), id);
}

Result<std::string> ReadSpecCopy(int directory) {
  const UniqueFd file = TRY(OpenBeneath(directory, kSpecCopy, O_RDONLY));
  return ReadAll(file.get(), oci::kMaxSpecBytes);
}

}  // namespace kata::runtime
