// SPDX-License-Identifier: Apache-2.0
#include "runtime/report_state.h"

#include <pwd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace kata::runtime {
namespace {

using OrderedJson = nlohmann::ordered_json;

// The pid of the stand-in; 0 for a stopped container, which has no pid (OCI runtime-spec, "State").
pid_t ShownPid(const Record& record) {
  return record.status() == sandbox::Status::kStopped ? 0 : record.state.standin.pid;
}

std::string OwnerName(const Record& record) {
  const passwd* user = getpwuid(record.state.owner);
  return user != nullptr ? user->pw_name : fmt::format("#{}", record.state.owner);
}

OrderedJson ToJson(const Record& record, const std::string& owner) {
  const sandbox::State& state = record.state;
  OrderedJson json;
  json["ociVersion"] = state.oci_version;
  json["id"] = record.id;
  json["pid"] = ShownPid(record);
  json["status"] = sandbox::StatusName(record.status());
  json["bundle"] = state.bundle;
  json["rootfs"] = state.rootfs;
  json["created"] = state.created;
  if (!state.annotations.empty()) json["annotations"] = state.annotations;
  json["owner"] = owner;
  return json;
}

std::string Dump(const OrderedJson& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string StateJson(const Record& record) { return Dump(ToJson(record, ""), 2); }

std::string ListJson(const std::vector<Record>& records) {
  OrderedJson list;
  for (const Record& record : records) list.push_back(ToJson(record, OwnerName(record)));
  return Dump(list, -1);
}

std::string ListTable(const std::vector<Record>& records) {
  constexpr size_t kColumns = 6;
  constexpr size_t kLeastWidth = 12;
  constexpr size_t kGap = 3;
  using Row = std::array<std::string, kColumns>;
  std::vector<Row> rows = {{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const Record& record : records) {
    rows.push_back({record.id, fmt::format("{}", ShownPid(record)), sandbox::StatusName(record.status()),
                    record.state.bundle, record.state.created, OwnerName(record)});
  }
  std::array<size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) widths[i] = std::max({widths[i], row[i].size() + kGap, kLeastWidth});
  }
  std::string table;
  for (const Row& row : rows) {
    for (size_t i = 0; i + 1 < kColumns; ++i) table += fmt::format("{:<{}}", row[i], widths[i]);
    table += row.back() + "\n";
  }
  return table;
}

}  // namespace kata::runtime
