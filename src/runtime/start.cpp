// SPDX-License-Identifier: Apache-2.0
#include "runtime/start.h"

#include <fcntl.h>

#include "base/files.h"
#include "base/log.h"
#include "oci/parse.h"
#include "protocol/shim.pb.h"
#include "runtime/create.h"
#include "runtime/verbs.h"
#include "sandbox/host/hooks.h"

namespace kata::runtime {
namespace {

// Time allowed for Kill after a poststart hook has failed.
constexpr std::chrono::milliseconds kKillAfterHookTime{2000};

void KillContainer(Task& task, const std::string& id) {
  containerd::task::v2::KillRequest request;
  request.set_id(id);
  request.set_signal(SIGKILL);
  if (auto killed = task.Call<wkt::Empty>("Kill", request, kKillAfterHookTime); !killed) {
    log::Warn("cannot end the container: {}", killed.error().message());
  }
}

Result<> RunPoststart(const Record& record, const grpc::Hooks& hooks, const Interrupts& interrupts) {
  if (hooks.poststart().empty()) return {};
  const UniqueFd dir = TRY(Open(record.state.bundle, O_PATH | O_DIRECTORY));
  return sandbox::RunHooks("poststart", hooks.poststart(),
                           {.state = sandbox::HookState(record.state, sandbox::Status::kRunning),
                            .working_directory = dir.get(),
                            .interrupts = &interrupts});
}

Result<> CheckCreated(sandbox::Status status) {
  switch (status) {
    case sandbox::Status::kCreated:
      return {};
    case sandbox::Status::kStopped:
      return Fail(Code::kFailedPrecondition, "cannot start a container that has stopped");
    case sandbox::Status::kCreating:
      return Fail(Code::kFailedPrecondition, "cannot start a container that is still being created");
    case sandbox::Status::kPaused:
      return Fail(Code::kFailedPrecondition, "cannot start a container in the paused state");
    case sandbox::Status::kRunning:
      break;
  }
  return Fail(Code::kFailedPrecondition, "cannot start an already running container");
}

}  // namespace

Result<> StartContainer(Task& task, const Record& record, const grpc::Hooks& hooks, const Interrupts& interrupts) {
  containerd::task::v2::StartRequest request;
  request.set_id(record.id);
  auto started = task.Call<containerd::task::v2::StartResponse>("Start", request, {}, &interrupts);
  if (!started) return tl::unexpected(ExplainStartFailure(std::move(started).error(), record.directory.get()));
  auto hooked = RunPoststart(record, hooks, interrupts);
  if (!hooked) KillContainer(task, record.id);
  return hooked;
}

Result<int> Start(const Globals& globals, const StartOptions& options) {
  const Interrupts interrupts = TRY(Interrupts::Ending());
  const Record record = TRY(FindContainer(globals.root, options.id));
  TRY(CheckCreated(record.status()));
  const grpc::Spec spec = TRY(oci::ParseSpec(TRY(ReadSpecCopy(record.directory.get()))));
  Task task = TRY(Task::Connect(record.directory.get()));
  TRY(StartContainer(task, record, spec.hooks(), interrupts));
  return 0;
}

}  // namespace kata::runtime
