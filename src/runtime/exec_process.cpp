// SPDX-License-Identifier: Apache-2.0
#include "runtime/exec_process.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/json.h"
#include "oci/parse.h"
#include "oci/validate.h"

namespace kata::runtime {
namespace {

using Json = nlohmann::json;

Result<uint32_t> ParseNumber(std::string_view text, const char* what) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return Fail(Code::kInvalidArgument, "parsing {} as int for {} failed: not a number from 0 to 4294967295", text,
                what);
  }
  return number;
}

Result<> SetUser(Json& process, const std::string& user) {
  const size_t colon = user.find(':');
  const std::string_view text = user;
  process["user"]["uid"] = TRY(ParseNumber(text.substr(0, colon), "uid"));
  // As with runc: without a group, the gid of the container's process stays.
  if (colon != std::string::npos) process["user"]["gid"] = TRY(ParseNumber(text.substr(colon + 1), "gid"));
  return {};
}

void AddCapability(Json& process, const std::string& capability) {
  // Not the inheritable set: programs with inheritable file capabilities would get the capability (CVE-2022-29162).
  for (const char* set : {"bounding", "effective", "permitted"}) {
    Json& names = process["capabilities"][set];
    if (!names.is_array()) names = Json::array();
    names.push_back(capability);
  }
}

Result<Json> FromOptions(const ExecOptions& options, const std::string& container_spec) {
  if (options.args.empty()) return Fail(Code::kInvalidArgument, "process args cannot be empty");
  const Json spec = ParseJson(container_spec, oci::kMaxSpecBytes).value_or(Json());
  if (!spec.is_object() || !spec.contains("process") || !spec["process"].is_object()) {
    return Fail(Code::kInvalidArgument, "the container's config.json has no process to start from: use --process");
  }
  Json process = spec["process"];
  process["args"] = options.args;
  process["terminal"] = options.tty;
  if (!options.tty) process.erase("consoleSize");
  if (!options.cwd.empty()) process["cwd"] = options.cwd;
  if (!options.env.empty() && !process["env"].is_array()) process["env"] = Json::array();
  for (const std::string& variable : options.env) process["env"].push_back(variable);
  if (!options.user.empty()) TRY(SetUser(process, options.user));
  for (const uint32_t gid : options.additional_gids) process["user"]["additionalGids"].push_back(gid);
  for (const std::string& capability : options.capabilities) AddCapability(process, capability);
  if (options.no_new_privileges) process["noNewPrivileges"] = true;
  return process;
}

}  // namespace

Result<ExecProcess> MakeExecProcess(const ExecOptions& options, const std::string& container_spec) {
  ExecProcess result;
  std::string name = "process";
  if (!options.process_file.empty()) {
    result.json = TRY(ReadFile(options.process_file, oci::kMaxSpecBytes));
    name = options.process_file;
  } else {
    result.json =
        TRY(FromOptions(options, container_spec)).dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  }
  grpc::Process process = TRY(oci::ParseProcess(result.json, nullptr, name));
  if (process.args().empty()) return Fail(Code::kInvalidArgument, "process args cannot be empty");
  TRY(oci::ValidateProcess(process, &result.warnings));
  result.terminal = process.terminal();
  result.rows = process.consolesize().height();
  result.columns = process.consolesize().width();
  return result;
}

}  // namespace kata::runtime
