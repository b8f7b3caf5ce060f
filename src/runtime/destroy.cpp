// SPDX-License-Identifier: Apache-2.0
#include "runtime/destroy.h"

#include <fmt/ranges.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <chrono>

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"
#include "base/patience.h"
#include "base/process_table.h"
#include "oci/parse.h"
#include "protocol/shim.pb.h"
#include "runtime/recover.h"
#include "runtime/task.h"
#include "sandbox/host/freezer.h"
#include "sandbox/host/hooks.h"
#include "sandbox/host/host_cgroups.h"
#include "sandbox/network/attach.h"

namespace kata::runtime {
namespace {

using std::chrono::milliseconds;

// Time allowed for the reply to Shutdown, and then for the end of the sandbox process. Both normally take milliseconds.
constexpr milliseconds kShutdownTime{1000};
constexpr milliseconds kEndTime{1000};

// Waits up to time for the end of a process, then kills it. Returns whether it has ended.
bool EndAfter(const ProcessRef& process, milliseconds time) {
  const auto pidfd = OpenPidfd(process.pid);
  if (time.count() > 0 && pidfd && IsAlive(process)) {
    Patience patience = PatienceWith({process.pid}, time, Patience::Kind::kAnswer);
    AwaitReadable(pidfd->get(), patience);
  }
  return EndProcess(process, milliseconds(0));
}

// Ends all processes of the sandbox before it returns an error: one that is stuck must not keep the others alive.
Result<> EndSandbox(const Record& record) {
  log::Debug("ending the sandbox process {}", record.state.sandbox.pid);
  milliseconds time{0};
  if (IsAlive(record.state.sandbox)) {
    if (auto task = Task::Connect(record.directory.get())) {
      containerd::task::v2::ShutdownRequest request;
      request.set_id(record.id);
      request.set_now(true);
      // kUnavailable is success too: the sandbox process may exit before it has sent a reply.
      if (auto done = task->Call<wkt::Empty>("Shutdown", request, task->PatienceFor(kShutdownTime));
          done || done.error().code() == Code::kUnavailable) {
        // In an orderly end the guest first writes back data to its disks, which takes longer.
        time = record.state.disks ? sandbox::kWriteBackTime : kEndTime;
      }
    }
  }
  bool gone = EndAfter(record.state.sandbox, time);
  // The helpers got a parent-death signal, but delete must not return before they have ended.
  for (const ProcessRef& helper : record.state.helpers) gone = EndAfter(helper, time) && gone;
  // The stand-in notices the end through its connection, and still has to exit with the container's status.
  gone = EndAfter(record.state.standin, kEndTime) && gone;
  if (gone) return {};
  return Fail(Code::kDeadlineExceeded, "container still running: a process of {} does not end; nothing was removed",
              record.id);
}

// Only one of several concurrent deletes proceeds. The others get the lock later, and then find that ROOT/ID is gone or
// is another directory.
Result<> Lock(const std::string& root, const Record& record) {
  if (flock(record.directory.get(), LOCK_EX) != 0) return FailErrno("cannot lock {}/{}", root, record.id);
  const UniqueFd now = TRY(OpenDirectory(root, record.id));
  struct stat mine {
  }, theirs{};
  if (fstat(record.directory.get(), &mine) != 0 || fstat(now.get(), &theirs) != 0) {
    return FailErrno("cannot examine {}/{}", root, record.id);
  }
  if (mine.st_ino != theirs.st_ino || mine.st_dev != theirs.st_dev) {
    return Fail(Code::kNotFound, "container does not exist");
  }
  return {};
}

}  // namespace

Result<> Destroy(const std::string& root, Record record) {
  TRY(Lock(root, record));
  // Read again: the sandbox process may have started helpers since record was read.
  if (auto state = sandbox::LoadState(record.directory.get())) record.state = std::move(*state);
  if (record.state.sandbox.pid <= 0) RecoverState(record.id, record.directory.get(), record.state);
  if (!record.state.socket.empty() && IsAlive(record.state.sandbox)) {
    return Fail(Code::kFailedPrecondition,
                "{} is a sandbox of containerd's, whose shim serves {}: it goes when containerd deletes it", record.id,
                record.state.socket);
  }
  // Frozen processes cannot answer calls, and in cgroup v1 not even SIGKILL ends them: thaw first.
  sandbox::Unfreeze(record.state);
  TRY(EndSandbox(record));
  log::Debug("all processes of {} have ended", record.id);
  // The sandbox process removes these itself unless it was killed.
  sandbox::network::RemoveLeftoversAt(record.state.network, record.id);
  // Without a copy of config.json the creating process died early, and there is nothing that poststop hooks could clean
  // up.
  const auto text = ReadSpecCopy(record.directory.get());
  const auto spec = text ? oci::ParseSpec(*text) : tl::unexpected<Error>(text.error());
  if (spec) sandbox::RunPoststop(record.state, *spec);
  log::Debug("removing its cgroups ({}) and its directory", fmt::join(record.state.cgroup_paths, ", "));
  sandbox::EndCgroupStay(record.state.systemd_unit, record.state.cgroup_paths, record.id);
  return Context(RemoveDirectory(root, record.id), "cannot remove the container's directory");
}

}  // namespace kata::runtime
