// SPDX-License-Identifier: Apache-2.0
// `kill`: a signal for the container's process, or for all of them.
#include <signal.h>

#include "oci/signal.h"
#include "protocol/shim.pb.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "runtime/verbs.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/host/freezer.h"

namespace kata::runtime {
namespace {

constexpr std::chrono::milliseconds kKillTime{10000};

// A container that somebody has frozen on the host cannot be called. A signal waits in its stand-in until it runs
// again. Only with SIGKILL, or for all processes, it is thawed, as runc does; one whose parent is frozen stays so.
// Returns whether there is nothing more to be done.
bool SignalFrozen(const Record& record, int signal, bool all) {
  if (signal == 0) return true;
  if (signal == SIGKILL || all) {
    sandbox::Thaw(sandbox::LeavesOf(record.state.cgroup_paths));
    if (!record.frozen()) return false;
  }
  // One that has ended meanwhile needs none.
  SignalProcess(record.state.standin, signal);
  return true;
}

}  // namespace

Result<int> Kill(const Globals& globals, const KillOptions& options) {
  const Record record = TRY(FindContainer(globals.root, options.id));
  // 0 is no signal but the question whether there is somebody to get one.
  const auto signal = options.signal == "0" ? Result<int>(0) : oci::ParseSignal(options.signal);
  if (!signal) return Fail(Code::kInvalidArgument, "unknown signal \"{}\"", options.signal);
  if (record.status() == sandbox::Status::kStopped) {
    // Engines end what may be left of a container with --all; that nothing is left is what they want.
    if (options.all) return 0;
    return Fail(Code::kFailedPrecondition, "container not running");
  }
  if (record.frozen() && SignalFrozen(record, *signal, options.all)) return 0;
  Task task = TRY(Task::Connect(record.directory.get()));
  containerd::task::v2::KillRequest request;
  request.set_id(options.id);
  request.set_signal(static_cast<uint32_t>(*signal));
  request.set_all(options.all);
  auto killed = task.Call<wkt::Empty>("Kill", request, task.PatienceFor(kKillTime));
  if (killed) return 0;
  // It ended between the look at its state and the call.
  const Code code = killed.error().code();
  if (code == Code::kNotFound || code == Code::kUnavailable) {
    return Fail(Code::kFailedPrecondition, "container not running");
  }
  return Context(Result<int>(tl::unexpected(std::move(killed).error())), "unable to signal init");
}

}  // namespace kata::runtime
