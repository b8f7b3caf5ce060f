// SPDX-License-Identifier: Apache-2.0
// `resume`: continues all processes of a paused container.
#include "protocol/shim.pb.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "runtime/verbs.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/host/freezer.h"

namespace kata::runtime {

Result<int> Resume(const Globals& globals, const ResumeOptions& options) {
  const Record record = TRY(FindContainer(globals.root, options.id));
  if (record.status() != sandbox::Status::kPaused) return Fail(Code::kFailedPrecondition, "container not paused");
  if (record.frozen()) {
    sandbox::Thaw(sandbox::LeavesOf(record.state.cgroup_paths));
    TRY(CheckHears(record));
    // If the guest has paused the container as well, that is resumed below.
    if (record.status() != sandbox::Status::kPaused) return 0;
  }
  Task task = TRY(Task::Connect(record.directory.get()));
  containerd::task::v2::ResumeRequest request;
  request.set_id(options.id);
  TRY(task.Call<wkt::Empty>("Resume", request));
  return 0;
}

}  // namespace kata::runtime
