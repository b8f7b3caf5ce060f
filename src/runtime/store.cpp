// SPDX-License-Identifier: Apache-2.0
#include "runtime/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/log.h"
#include "oci/parse.h"
#include "runtime/recover.h"
#include "sandbox/host/freezer.h"

namespace kata::runtime {

sandbox::Status Record::status() const {
  const sandbox::Status status = sandbox::CurrentStatus(state);
  const bool goes_on = status == sandbox::Status::kCreated || status == sandbox::Status::kRunning;
  return goes_on && frozen() ? sandbox::Status::kPaused : status;
}

bool Record::frozen() const {
  const auto is_frozen = [](const ProcessRef& process) {
    return IsAlive(process) && !sandbox::FrozenAround(process.pid).empty();
  };
  // The other processes are in the same cgroups as the sandbox process.
  return is_frozen(state.sandbox) || is_frozen(state.standin);
}

Result<> CheckHears(const Record& record) {
  if (!record.frozen()) return {};
  return Fail(Code::kFailedPrecondition, "the cgroup of container {} is frozen on the host", record.id);
}

Result<Record> FindContainer(const std::string& root, const std::string& id) {
  Record record;
  record.id = id;
  record.directory = TRY(OpenDirectory(root, id));
  auto state = sandbox::LoadState(record.directory.get());
  if (!state && state.error().code() == Code::kNotFound) return FindDirectory(root, id);
  if (!state && state.error().code() == Code::kInvalidArgument) {
    return Fail(Code::kInvalidArgument,
                "cannot read the state of {}: {}; kata-runtime --root {} delete --force {} removes it", id,
                state.error().message(), root, id);
  }
  record.state = TRY(Context(std::move(state), "cannot read the state of {}", id));
  log::Debug("{} is {}", id, sandbox::StatusName(record.status()));
  return record;
}

Result<Record> FindDirectory(const std::string& root, const std::string& id) {
  Record record;
  record.id = id;
  record.directory = TRY(OpenDirectory(root, id));
  RecoverState(id, record.directory.get(), record.state);
  return record;
}

Result<std::vector<Record>> ListContainers(const std::string& root) {
  std::vector<Record> records;
  auto parent = Open(root, O_RDONLY | O_DIRECTORY);
  if (!parent && parent.error().code() == Code::kNotFound) return records;
  if (!parent) return tl::unexpected(std::move(parent).error());
  for (const std::string& id : TRY(ListDir(parent->get()))) {
    struct stat info {};
    if (fstatat(parent->get(), id.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode)) continue;
    auto record = FindContainer(root, id);
    if (record) {
      records.push_back(std::move(*record));
    } else if (record.error().code() != Code::kNotFound) {  // kNotFound: deleted meanwhile
      log::Warn("skipping {}/{}: {}", root, id, record.error().message());
    }
  }
  return records;
}

Result<std::string> ReadSpecCopy(int directory) {
  const UniqueFd file = TRY(OpenBeneath(directory, kSpecCopy, O_RDONLY));
  return ReadAll(file.get(), oci::kMaxSpecBytes);
}

}  // namespace kata::runtime
