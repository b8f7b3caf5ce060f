// SPDX-License-Identifier: Apache-2.0
// `kill`: sends a signal to the container's first process, or to all its processes.
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

// For a container whose cgroup is frozen on the host, so that its sandbox process cannot answer calls. A signal to its
// stand-in stays pending until the cgroup is thawed. For SIGKILL and --all this thaws the container's cgroup, as runc
// does; a frozen parent cgroup stays frozen. Returns true if nothing more is to be done, false if the caller can now
// call Kill.
bool SignalFrozen(const Record& record, int signal, bool all) {
  if (signal == 0) return true;
  if (signal == SIGKILL || all) {
    sandbox::Thaw(sandbox::LeavesOf(record.state.cgroup_paths));
    if (!record.frozen()) return false;
  }
  // Fails if the stand-in has ended meanwhile; then no signal is needed.
  SendSignal(record.state.standin, signal);
  return true;
}

}  // namespace

Result<int> Kill(const Globals& globals, const KillOptions& options) {
  const Record record = TRY(FindContainer(globals.root, options.id));
  // As in kill(2), signal 0 only checks whether the process exists.
  const auto signal = options.signal == "0" ? Result<int>(0) : oci::ParseSignal(options.signal);
  if (!signal) return Fail(Code::kInvalidArgument, "unknown signal \"{}\"", options.signal);
  if (record.status() == sandbox::Status::kStopped) {
    // Engines use --all to end what may be left of a container, so a stopped container is no error.
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
  // The container has ended between the check of its status and the call.
  const Code code = killed.error().code();
  if (code == Code::kNotFound || code == Code::kUnavailable) {
    return Fail(Code::kFailedPrecondition, "container not running");
  }
  return Context(Result<int>(tl::unexpected(std::move(killed).error())), "unable to signal init");
}

}  // namespace kata::runtime
