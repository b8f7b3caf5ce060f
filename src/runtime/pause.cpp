// SPDX-License-Identifier: Apache-2.0
// `pause`: pauses all processes of a container.
#include "protocol/shim.pb.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> Pause(const Globals& globals, const PauseOptions& options) {
  const Record record = TRY(FindContainer(globals.root, options.id));
  const sandbox::Status status = record.status();
  if (status != sandbox::Status::kRunning && status != sandbox::Status::kCreated) {
    return Fail(Code::kFailedPrecondition, "container not running");
  }
  Task task = TRY(Task::Connect(record.directory.get()));
  containerd::task::v2::PauseRequest request;
  request.set_id(options.id);
  TRY(task.Call<wkt::Empty>("Pause", request));
  return 0;
}

}  // namespace kata::runtime
