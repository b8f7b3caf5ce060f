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
#include "sandbox/host/cgroup.h"
#include "sandbox/host/freezer.h"
#include "sandbox/host/hooks.h"
#include "sandbox/network/attach.h"

namespace kata::runtime {
namespace {

using std::chrono::milliseconds;

// A sandbox process that works ends within milliseconds of being told.
constexpr milliseconds kShutdownTime{1000};
constexpr milliseconds kEndTime{1000};

// It has that long to end by itself; 0: none. Whether it has gone.
bool EndAfter(const ProcessRef& process, milliseconds time) {
  const auto pidfd = OpenPidfd(process.pid);
  if (time.count() > 0 && pidfd && IsAlive(process)) {
    Patience patience = PatienceWith({process.pid}, time, Patience::Kind::kAnswer);
    AwaitReadable(pidfd->get(), patience);
  }
  return EndProcess(process, milliseconds(0));
}

// All are told before the first error: one that is stuck must not keep the others.
Result<> EndSandbox(const Record& record) {
  log::Debug("ending the sandbox process {}", record.state.sandbox.pid);
  milliseconds time{0};
  if (IsAlive(record.state.sandbox)) {
    if (auto task = Task::Connect(record.directory.get())) {
      containerd::task::v2::ShutdownRequest request;
      request.set_id(record.id);
      request.set_now(true);
      // No answer is no worry: it may be gone before it has sent one.
      if (auto done = task->Call<wkt::Empty>("Shutdown", request, task->PatienceFor(kShutdownTime));
          done || done.error().code() == Code::kUnavailable) {
        // One that ends in order lets its guest write back what is for disks.
        time = record.state.disks ? sandbox::kWriteBackTime : kEndTime;
      }
    }
  }
  bool gone = EndAfter(record.state.sandbox, time);
  // They got a signal when their parent died, but a delete must not return before they are gone.
  for (const ProcessRef& helper : record.state.helpers) gone = EndAfter(helper, time) && gone;
  // It learns of the end through its connection and still passes the status on.
  gone = EndAfter(record.state.standin, kEndTime) && gone;
  if (gone) return {};
  return Fail(Code::kDeadlineExceeded, "container still running: a process of {} does not end; nothing was removed",
              record.id);
}

// Of several deletes one gets the lock; the others find that the directory under the name is gone, or another.
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
  // Read again: the sandbox process may have started helpers since.
  if (auto state = sandbox::LoadState(record.directory.get())) record.state = std::move(*state);
  if (record.state.sandbox.pid <= 0) RecoverState(record.id, record.directory.get(), record.state);
  if (!record.state.socket.empty() && IsAlive(record.state.sandbox)) {
    return Fail(Code::kFailedPrecondition,
                "{} is a sandbox of containerd's, whose shim serves {}: it goes when containerd deletes it", record.id,
                record.state.socket);
  }
  // Somebody may have frozen a cgroup of the container's: nothing in it would hear, and with version 1 none would die.
  sandbox::Unfreeze(record.state);
  TRY(EndSandbox(record));
  log::Debug("all processes of {} have ended", record.id);
  // What the sandbox process would have taken back itself, had it not been killed.
  sandbox::network::RemoveLeftoversAt(record.state.network, record.id);
  // No copy: the maker died before there was anything to stop.
  const auto text = ReadSpecCopy(record.directory.get());
  const auto spec = text ? oci::ParseSpec(*text) : tl::unexpected<Error>(text.error());
  if (spec) sandbox::RunPoststop(record.state, *spec);
  log::Debug("removing its cgroups ({}) and its directory", fmt::join(record.state.cgroup_paths, ", "));
  sandbox::RemoveCgroups(record.state.cgroup_paths);
  return Context(RemoveDirectory(root, record.id), "cannot remove the container's directory");
}

}  // namespace kata::runtime
