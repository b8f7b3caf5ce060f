// SPDX-License-Identifier: Apache-2.0
// `delete`: removes a container that has stopped or was never started; with --force, any container.
#include "base/log.h"
#include "runtime/destroy.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> Delete(const Globals& globals, const DeleteOptions& options) {
  auto record = FindContainer(globals.root, options.id);
  if (!record && options.force && record.error().code() != Code::kNotFound) {
    log::Warn("{}", record.error().message());
    record = FindDirectory(globals.root, options.id);
  }
  if (!record) {
    if (options.force && record.error().code() == Code::kNotFound) return 0;
    return tl::unexpected(std::move(record).error());
  }
  const sandbox::Status status = record->status();
  // A created container that was never started may be deleted too, as with runc.
  if (!options.force && status != sandbox::Status::kStopped && status != sandbox::Status::kCreated) {
    return Fail(Code::kFailedPrecondition, "cannot delete container {} that is not stopped: {}", options.id,
                sandbox::StatusName(status));
  }
  auto gone = Destroy(globals.root, std::move(*record));
  if (!gone && !(options.force && gone.error().code() == Code::kNotFound)) {
    return tl::unexpected(std::move(gone).error());
  }
  return 0;
}

}  // namespace kata::runtime
