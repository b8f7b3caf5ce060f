// SPDX-License-Identifier: Apache-2.0
#include "runtime/recover.h"

#include <unistd.h>

#include <optional>
#include <vector>

#include "base/log.h"
#include "base/process_table.h"
#include "oci/parse.h"
#include "protocol/shim.pb.h"
#include "rpc/unix_socket.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/record/directory.h"
#include "sandbox/sandbox_process.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

constexpr std::chrono::milliseconds kAnswerTime{1000};

// The process that listens at the task socket in the directory, if it runs as the caller's user.
std::optional<pid_t> Listener(int directory) {
  const auto connection = rpc::ConnectUnix(directory, sandbox::kTaskSocket);
  if (!connection) return std::nullopt;
  const auto peer = rpc::PeerOf(connection->get());
  if (!peer || peer->pid <= 0 || peer->uid != geteuid()) return std::nullopt;
  return peer->pid;
}

// The options on a process's command line; nullopt if it is no sandbox process.
std::optional<sandbox::SandboxOptions> OptionsOf(pid_t pid) {
  const std::vector<std::string> words = ArgumentsOf(pid);
  if (words.size() < 2 || words[1] != sandbox::kSandboxVerb) return std::nullopt;
  auto options = sandbox::ParseSandboxArguments({words.begin() + 2, words.end()});
  if (!options) return std::nullopt;
  return *std::move(options);
}

// The sandbox process's children: VMM and file server.
std::vector<ProcessRef> HelpersOf(pid_t pid) {
  std::vector<ProcessRef> helpers;
  for (const pid_t child : ChildrenOf(pid)) {
    if (auto helper = IdentifyProcess(child)) helpers.push_back(*helper);
  }
  return helpers;
}

sandbox::Status StatusOf(containerd::v1::types::Status status) {
  switch (status) {
    case containerd::v1::types::CREATED:
      return sandbox::Status::kCreated;
    case containerd::v1::types::RUNNING:
      return sandbox::Status::kRunning;
    case containerd::v1::types::PAUSED:
    case containerd::v1::types::PAUSING:
      return sandbox::Status::kPaused;
    case containerd::v1::types::STOPPED:
      return sandbox::Status::kStopped;
    default:
      return sandbox::Status::kCreating;
  }
}

// Returns whether the sandbox process knows the container.
bool AskSandbox(const std::string& id, int directory, sandbox::State& state) {
  auto task = Task::Connect(directory);
  if (!task) return false;
  containerd::task::v2::StateRequest request;
  request.set_id(id);
  const auto reply = task->Call<containerd::task::v2::StateResponse>("State", request, task->PatienceFor(kAnswerTime));
  if (!reply) return false;
  state.status = StatusOf(reply->status());
  if (auto standin = IdentifyProcess(static_cast<pid_t>(reply->pid()))) state.standin = *standin;
  return true;
}

void RecoverCgroups(const grpc::Spec& spec, sandbox::State& state) {
  const std::string& wanted = spec.linux().cgroupspath();
  // The form "slice:prefix:name" shows that `create` had --systemd-cgroup.
  const auto place = sandbox::PlaceOf(wanted, state.id, sandbox::HasUnitForm(wanted));
  if (!place) return;
  if (place->unit) state.systemd_unit = place->unit->name;
  if (auto plan = sandbox::PlanHostCgroups(place->path)) state.cgroup_paths = std::move(plan->leaves);
}

}  // namespace

void RecoverState(const std::string& id, int directory, sandbox::State& state) {
  state.id = id;
  const auto text = ReadSpecCopy(directory);
  auto spec = text ? oci::ParseSpec(*text) : Fail(Code::kNotFound, "");
  if (spec && state.oci_version.empty()) state.oci_version = spec->version();

  const std::optional<pid_t> pid = Listener(directory);
  // Identified before its command line is read: if the pid is reused in between, EndProcess notices that the process of
  // this start time is gone, and kills nothing.
  const auto process = pid ? IdentifyProcess(*pid) : Fail(Code::kNotFound, "");
  const auto options = process ? OptionsOf(*pid) : std::nullopt;
  const bool known = options && AskSandbox(id, directory, state);
  // A sandbox process that does not answer is this container's if it was started for it. The sandbox of another
  // container may never have heard of this one, and is left alone then.
  if (known || (options && options->id == id)) {
    log::Debug("the record of {} says nothing of its sandbox process: it is process {}", id, *pid);
    state.sandbox = *process;
    state.sandbox_id = options->id;
    state.helpers = HelpersOf(*pid);
  }
  if (options && options->id == id) {
    if (state.bundle.empty()) state.bundle = options->bundle;
    if (state.cgroup_paths.empty()) state.cgroup_paths = options->cgroup_paths;
    if (state.systemd_unit.empty()) state.systemd_unit = options->systemd_unit;
  }
  if (spec && state.cgroup_paths.empty()) RecoverCgroups(*spec, state);
}

}  // namespace kata::runtime
