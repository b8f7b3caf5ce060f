// SPDX-License-Identifier: Apache-2.0
// `ps`: the guest's processes of a container, as the agent lists them.
#include "base/json.h"
#include "base/text.h"
#include "protocol/shim.pb.h"
#include "runtime/output.h"
#include "runtime/report_state.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "runtime/verbs.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxRow = 64U << 10U;
constexpr std::chrono::milliseconds kPidsTime{10000};

std::string Text(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end()) return "?";
  std::string text =
      found->is_string() ? found->get<std::string>() : found->dump(-1, ' ', false, Json::error_handler_t::replace);
  // The guest chose it, and the reader is a terminal.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return ForeignText(text);
}

int64_t Number(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

// The rows of processes in the guest; what does not parse is left out.
std::vector<ProcessRow> Rows(const containerd::task::v2::PidsResponse& pids) {
  std::vector<ProcessRow> rows;
  for (const auto& process : pids.processes()) {
    if (process.info().type_url() != sandbox::kGuestProcessType) continue;
    const auto parsed = ParseJson(process.info().value(), kMaxRow);
    if (!parsed || !parsed->is_object()) continue;
    const Json& row = *parsed;
    rows.push_back({.user = Text(row, "uid"),
                    .pid = Number(row, "pid"),
                    .parent = Number(row, "ppid"),
                    .cpu_percent = Number(row, "c"),
                    .start = Text(row, "stime"),
                    .terminal = Text(row, "tty"),
                    .time = Text(row, "time"),
                    .command = Text(row, "cmd")});
  }
  return rows;
}

// Processes that the host knows: the stand-ins.
std::string HostPids(const containerd::task::v2::PidsResponse& pids) {
  Json list = Json::array();
  for (const auto& process : pids.processes()) {
    if (process.info().type_url() != sandbox::kGuestProcessType) list.push_back(process.pid());
  }
  return list.dump() + "\n";
}

}  // namespace

Result<int> Ps(const Globals& globals, const PsOptions& options) {
  const Record record = TRY(FindContainer(globals.root, options.id));
  containerd::task::v2::PidsResponse pids;
  if (record.status() != sandbox::Status::kStopped) {
    TRY(CheckHears(record));
    Task task = TRY(Task::Connect(record.directory.get()));
    containerd::task::v2::PidsRequest request;
    request.set_id(options.id);
    pids = TRY(task.Call<containerd::task::v2::PidsResponse>("Pids", request, kPidsTime));
  }
  return Print(options.json ? HostPids(pids) : ProcessTable(Rows(pids)));
}

}  // namespace kata::runtime
