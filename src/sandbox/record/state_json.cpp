// SPDX-License-Identifier: Apache-2.0
// Converts State to JSON and back. Every member is checked, since the file may be damaged.
#include <limits>

#include "base/json.h"
#include "base/text.h"
#include "sandbox/record/state.h"

namespace kata::sandbox {
namespace {

using Json = nlohmann::json;

Json RefToJson(const ProcessRef& process) { return {{"pid", process.pid}, {"startTime", process.start_time}}; }

// Thrown and caught in this file only.
struct Malformed {
  std::string what;
};

const Json& Member(const Json& json, const char* name, Json::value_t type) {
  auto found = json.find(name);
  if (found == json.end()) throw Malformed{fmt::format("{} is missing", name)};
  Json::value_t is = found->type();
  if (is == Json::value_t::number_unsigned) is = Json::value_t::number_integer;
  if (is != type) throw Malformed{fmt::format("{} is {}", name, found->type_name())};
  return *found;
}

std::string Text(const Json& json, const char* name) {
  return Member(json, name, Json::value_t::string).get_ref<const std::string&>();
}

template <typename Number>
Number Integer(const Json& json, const char* name) {
  const Json& value = Member(json, name, Json::value_t::number_integer);
  bool fits = value.is_number_unsigned() ? std::in_range<Number>(value.get<uint64_t>())
                                         : std::in_range<Number>(value.get<int64_t>());
  if (!fits) throw Malformed{fmt::format("{} is out of range", name)};
  return value.get<Number>();
}

ProcessRef RefFromJson(const Json& json) {
  if (!json.is_object()) throw Malformed{"a process is no object"};
  return {.pid = Integer<pid_t>(json, "pid"), .start_time = Integer<uint64_t>(json, "startTime")};
}

State FromJson(const Json& json) {
  if (!json.is_object()) throw Malformed{"it is no object"};
  State state;
  state.id = Text(json, "id");
  state.oci_version = Text(json, "ociVersion");
  auto status = StatusFromName(Text(json, "status"));
  if (!status) throw Malformed{"status is unknown"};
  state.status = *status;
  state.standin = RefFromJson(Member(json, "standin", Json::value_t::object));
  state.sandbox = RefFromJson(Member(json, "sandbox", Json::value_t::object));
  for (const Json& helper : Member(json, "helpers", Json::value_t::array)) {
    state.helpers.push_back(RefFromJson(helper));
  }
  state.bundle = Text(json, "bundle");
  state.rootfs = Text(json, "rootfs");
  state.created = Text(json, "created");
  for (const auto& [key, value] : Member(json, "annotations", Json::value_t::object).items()) {
    if (!value.is_string()) throw Malformed{"an annotation is no string"};
    state.annotations[key] = value.get<std::string>();
  }
  state.owner = Integer<uid_t>(json, "owner");
  for (const Json& path : Member(json, "cgroupPaths", Json::value_t::array)) {
    if (!path.is_string()) throw Malformed{"a cgroup path is no string"};
    state.cgroup_paths.push_back(path.get<std::string>());
  }
  state.systemd_unit = Text(json, "systemdUnit");
  state.exit_status = Integer<int>(json, "exitStatus");
  state.exited_at = Text(json, "exitedAt");
  state.failure = Text(json, "failure");
  for (const auto& [phase, value] : Member(json, "timing", Json::value_t::object).items()) {
    state.timing[phase] = Integer<int64_t>(Json{{"timing", value}}, "timing");
  }
  state.network = Text(json, "network");
  state.socket = Text(json, "socket");
  state.disks = Member(json, "disks", Json::value_t::boolean).get<bool>();
  state.sandbox_id = Text(json, "sandboxId");
  return state;
}

}  // namespace

std::string ToJson(const State& state) {
  Json helpers = Json::array();
  for (const ProcessRef& helper : state.helpers) helpers.push_back(RefToJson(helper));
  Json json = {{"ociVersion", state.oci_version},
               {"id", state.id},
               {"status", StatusName(state.status)},
               {"standin", RefToJson(state.standin)},
               {"sandbox", RefToJson(state.sandbox)},
               {"helpers", std::move(helpers)},
               {"bundle", state.bundle},
               {"rootfs", state.rootfs},
               {"created", state.created},
               {"annotations", state.annotations},
               {"owner", state.owner},
               {"cgroupPaths", state.cgroup_paths},
               {"systemdUnit", state.systemd_unit},
               {"exitStatus", state.exit_status},
               {"exitedAt", state.exited_at},
               {"failure", ForeignText(state.failure, kMaxFailure)},
               {"timing", state.timing},
               {"network", state.network},
               {"socket", state.socket},
               {"disks", state.disks},
               {"sandboxId", state.sandbox_id}};
  // Text from a bundle may be invalid UTF-8: bad bytes are replaced, since the default is to throw.
  return json.dump(1, '\t', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

Result<State> ParseState(std::string_view text) {
  const auto json = ParseJson(text, kMaxStateBytes);
  if (!json) return Fail(Code::kInvalidArgument, "{} is not a whole record: it is cut off or damaged", kStateFile);
  try {
    return FromJson(*json);
  } catch (const Malformed& malformed) {
    return Fail(Code::kInvalidArgument, "{} is not a whole record: {}", kStateFile, malformed.what);
  }
}

}  // namespace kata::sandbox
