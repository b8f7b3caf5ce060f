// SPDX-License-Identifier: Apache-2.0
// `ps`: shows a container's processes in the guest, as the agent lists them, in the columns of ps(1).
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "protocol/guest_contract.h"
#include "protocol/shim.pb.h"
#include "runtime/output.h"
#include "runtime/ps_options.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "runtime/verbs.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

constexpr std::chrono::milliseconds kPidsTime{10000};

// The processes in the guest; malformed rows are left out.
std::vector<GuestProcess> Rows(const containerd::task::v2::PidsResponse& pids) {
  std::vector<GuestProcess> rows;
  for (const auto& process : pids.processes()) {
    if (process.info().type_url() != sandbox::kGuestProcessType) continue;
    if (auto row = ParseGuestProcess(process.info().value())) rows.push_back(*std::move(row));
  }
  return rows;
}

// The pids of the processes on the host: the stand-ins.
std::string HostPids(const containerd::task::v2::PidsResponse& pids) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& process : pids.processes()) {
    if (process.info().type_url() != sandbox::kGuestProcessType) list.push_back(process.pid());
  }
  return list.dump() + "\n";
}

}  // namespace

Result<int> Ps(const Globals& globals, const PsOptions& options) {
  const Record record = TRY(FindContainer(globals.root, options.id));
  const PsView view = TRY(ParsePsOptions(options.words));
  containerd::task::v2::PidsResponse pids;
  if (record.status() != sandbox::Status::kStopped) {
    TRY(CheckHears(record));
    Task task = TRY(Task::Connect(record.directory.get()));
    containerd::task::v2::PidsRequest request;
    request.set_id(options.id);
    pids = TRY(task.Call<containerd::task::v2::PidsResponse>("Pids", request, task.PatienceFor(kPidsTime)));
  }
  const std::vector<GuestProcess> rows = Rows(pids);
  if (rows.size() == contract::kMaxListedProcesses) log::Warn("only {} processes are listed", rows.size());
  return Print(options.json ? HostPids(pids) : ShowProcesses(view, rows));
}

}  // namespace kata::runtime
