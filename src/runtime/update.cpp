// SPDX-License-Identifier: Apache-2.0
// `update`: changes the limits of a container, from options or a file.
#include <unistd.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/log.h"
#include "oci/parse.h"
#include "oci/validate.h"
#include "protocol/shim.pb.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "runtime/verbs.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

using Json = nlohmann::json;

// Parses a number of bytes: "512M", "1g", "4096" or "-1".
Result<int64_t> ParseSize(std::string_view text, const char* option) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  constexpr std::string_view kUnits = "kmgt";
  int shift = 0;
  if (error == std::errc() && !unit.empty()) {
    const size_t index = kUnits.find(static_cast<char>(unit[0] | 0x20));
    if (index != std::string_view::npos) {
      shift = 10 * (static_cast<int>(index) + 1);
      unit.remove_prefix(1);
    }
    if (unit == "b" || unit == "B") unit.remove_prefix(1);
  }
  if (text.empty() || error != std::errc() || !unit.empty() || number < -1 || number > (INT64_MAX >> shift) ||
      (number < 0 && shift != 0)) {
    return Fail(Code::kInvalidArgument, "invalid value for {}: \"{}\" is no number of bytes", option, text);
  }
  return number << shift;
}

template <typename T>
void Set(Json& json, const char* group, const char* key, const std::optional<T>& value) {
  if (value) json[group][key] = *value;
}

Result<> SetSize(Json& json, const char* key, const std::string& text, const char* option) {
  if (!text.empty()) json["memory"][key] = TRY(ParseSize(text, option));
  return {};
}

Result<std::string> FromOptions(const UpdateOptions& options) {
  Json json = Json::object();
  Set(json, "blockIO", "weight", options.blkio_weight);
  Set(json, "cpu", "period", options.cpu_period);
  Set(json, "cpu", "quota", options.cpu_quota);
  Set(json, "cpu", "shares", options.cpu_shares);
  Set(json, "cpu", "realtimePeriod", options.cpu_rt_period);
  Set(json, "cpu", "realtimeRuntime", options.cpu_rt_runtime);
  if (!options.cpuset_cpus.empty()) json["cpu"]["cpus"] = options.cpuset_cpus;
  if (!options.cpuset_mems.empty()) json["cpu"]["mems"] = options.cpuset_mems;
  TRY(SetSize(json, "limit", options.memory, "memory"));
  TRY(SetSize(json, "reservation", options.memory_reservation, "memory-reservation"));
  TRY(SetSize(json, "swap", options.memory_swap, "memory-swap"));
  Set(json, "pids", "limit", options.pids_limit);
  return json.dump();
}

Result<std::string> ReadResources(const UpdateOptions& options) {
  if (options.resources_file.empty()) return FromOptions(options);
  if (options.resources_file == "-") return ReadAll(STDIN_FILENO, oci::kMaxSpecBytes);
  return ReadFile(options.resources_file, oci::kMaxSpecBytes);
}

}  // namespace

Result<int> Update(const Globals& globals, const UpdateOptions& options) {
  const Record record = TRY(FindContainer(globals.root, options.id));
  const std::string json = TRY(ReadResources(options));
  std::vector<std::string> warnings;
  const bool from_file = !options.resources_file.empty() && options.resources_file != "-";
  const std::string name = from_file ? options.resources_file : "resources";
  TRY(oci::ValidateResources(TRY(oci::ParseResources(json, &warnings, name))));
  for (const std::string& warning : warnings) log::Warn("{}", warning);
  if (record.status() == sandbox::Status::kStopped) return Fail(Code::kFailedPrecondition, "container not running");
  TRY(CheckHears(record));
  Task task = TRY(Task::Connect(record.directory.get()));
  containerd::task::v2::UpdateTaskRequest request;
  request.set_id(options.id);
  request.mutable_resources()->set_type_url(sandbox::kResourcesType);
  request.mutable_resources()->set_value(json);
  TRY(task.Call<wkt::Empty>("Update", request));
  return 0;
}

}  // namespace kata::runtime
