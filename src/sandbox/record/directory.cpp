// SPDX-License-Identifier: Apache-2.0
#include "sandbox/record/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "oci/validate.h"

namespace kata::sandbox {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

Result<> CheckId(const std::string& id) {
  // runc's message, which people search for. What is wrong with the id follows it.
  return Context(oci::ValidateId(id), "invalid container ID format");
}

Result<UniqueFd> OpenRoot(const std::string& root) { return Open(root, O_RDONLY | O_DIRECTORY); }

}  // namespace

Result<UniqueFd> ClaimDirectory(const std::string& root, const std::string& id) {
  TRY(CheckId(id));
  std::error_code error;
  std::filesystem::create_directories(root, error);
  if (error) return FailWith(error.value(), "cannot make the state's directory {}", root);
  const UniqueFd parent = TRY(OpenRoot(root));
  // mkdir is the claim: of two processes at the same time, one gets EEXIST.
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

Result<> LinkSandbox(int from, int to) {
  for (const char* name : {kTaskSocket, kStandinSocket, kConsoleSocket, kSandboxLog}) {
    if (linkat(from, name, to, name, 0) != 0) return FailErrno("cannot link {} of the sandbox", name);
  }
  return {};
}

Result<> RemoveDirectory(const std::string& root, const std::string& id) {
  const UniqueFd parent = TRY(OpenRoot(root));
  return RemoveTree(parent.get(), id);
}

}  // namespace kata::sandbox
