// SPDX-License-Identifier: Apache-2.0
#include "runtime/destroy.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"
#include "base/patience.h"
#include "base/process_table.h"
#include "oci/parse.h"
#include "protocol/leave.pb.h"
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

// Time allowed for the end of the sandbox process after it has agreed to that. It normally takes milliseconds.
constexpr milliseconds kEndTime{1000};
// Time allowed for a reply that takes milliseconds.
constexpr milliseconds kAnswerTime{1000};
// Time allowed for the reply to Leave where others go on: the guest removes the container first, and may write back to
// its disks. These have limits of their own in the sandbox process.
constexpr milliseconds kLeaveOthersTime = 2 * sandbox::kWriteBackTime;

// Waits up to time for the end of a process, then kills it. Returns whether it has ended.
bool EndAfter(const ProcessRef& process, milliseconds time) {
  const auto pidfd = OpenPidfd(process.pid);
  if (time.count() > 0 && pidfd && IsAlive(process)) {
    Patience patience = PatienceWith({process.pid}, time, Patience::Kind::kAnswer);
    AwaitReadable(pidfd->get(), patience);
  }
  return EndProcess(process, milliseconds(0));
}

// Whether another container runs in the same sandbox, as far as the records say.
bool HasOthers(const std::string& root, const Record& record) {
  const auto parent = Open(root, O_RDONLY | O_DIRECTORY);
  const auto ids = parent ? ListDir(parent->get()) : tl::unexpected<Error>(parent.error());
  if (!ids) return false;
  return std::any_of(ids->begin(), ids->end(), [&](const std::string& id) {
    const auto directory = id == record.id ? Fail(Code::kNotFound, "") : OpenDirectory(root, id);
    const auto state = directory ? sandbox::LoadState(directory->get()) : tl::unexpected<Error>(directory.error());
    return state && state->sandbox == record.state.sandbox && IsAlive(state->standin);
  });
}

// What becomes of the sandbox when a container leaves it.
struct Parting {
  bool sandbox_ends = true;
  milliseconds time{0};  // for the end of the sandbox process
};

bool Answers(Task& task, const std::string& id) {
  containerd::task::v2::StateRequest request;
  request.set_id(id);
  const auto state = task.Call<containerd::task::v2::StateResponse>("State", request, task.PatienceFor(kAnswerTime));
  return state || (state.error().code() != Code::kDeadlineExceeded && state.error().code() != Code::kUnavailable);
}

// Asks the sandbox process to end the container, and itself with the last one. If it does not answer, nothing but its
// end frees the container.
Parting AskToLeave(const std::string& root, const Record& record) {
  Parting parting;
  if (!IsAlive(record.state.sandbox)) return parting;
  auto task = Task::Connect(record.directory.get());
  if (!task) return parting;
  const bool others = HasOthers(root, record);
  if (others && !Answers(*task, record.id)) return parting;
  sandbox::LeaveRequest request;
  request.set_id(record.id);
  const milliseconds time = others ? kLeaveOthersTime : kAnswerTime;
  const auto left = task->Call<sandbox::LeaveResponse>("Leave", request, task->PatienceFor(time));
  // kUnavailable is success too: the sandbox process may exit before it has sent a reply.
  if (!left && left.error().code() != Code::kUnavailable) {
    log::Warn("the sandbox of {} is killed: {}", record.id, left.error().message());
    return parting;
  }
  parting.sandbox_ends = !left || left->sandbox_ends();
  // In an orderly end the guest first writes back data to its disks, which takes longer.
  const bool disks = left ? left->disks() : record.state.disks;
  parting.time = disks ? sandbox::kWriteBackTime : kEndTime;
  return parting;
}

// Ends all processes of the container, and of its sandbox if that has no other, before it returns an error: one that is
// stuck must not keep the others alive. Returns whether the sandbox has ended.
Result<bool> EndProcesses(const std::string& root, const Record& record) {
  const Parting parting = AskToLeave(root, record);
  bool gone = true;
  if (parting.sandbox_ends) {
    log::Debug("ending the sandbox process {}", record.state.sandbox.pid);
    gone = EndAfter(record.state.sandbox, parting.time);
    // The helpers got a parent-death signal, but delete must not return before they have ended.
    for (const ProcessRef& helper : record.state.helpers) gone = EndAfter(helper, parting.time) && gone;
  }
  // The stand-in notices the end through its connection, and still has to exit with the container's status.
  gone = EndAfter(record.state.standin, kEndTime) && gone;
  if (gone) return parting.sandbox_ends;
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
  const bool sandbox_ended = TRY(EndProcesses(root, record));
  log::Debug("all processes of {} have ended{}", record.id, sandbox_ended ? "" : "; its sandbox goes on with others");
  // The sandbox process removes these itself unless it was killed.
  if (sandbox_ended) sandbox::network::RemoveLeftoversAt(record.state.network, record.state.sandbox_id);
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
