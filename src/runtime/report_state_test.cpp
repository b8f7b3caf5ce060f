// SPDX-License-Identifier: Apache-2.0
#include "runtime/report_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace kata::runtime {
namespace {

Record Running() {
  Record record;
  record.id = "c1";
  record.state.id = "c1";
  record.state.oci_version = "1.0.2-dev";
  record.state.status = sandbox::Status::kRunning;
  record.state.sandbox = *IdentifyProcess(getpid());
  record.state.standin.pid = 4711;
  record.state.bundle = "/b";
  record.state.rootfs = "/b/rootfs";
  record.state.created = "2026-01-02T03:04:05.000000006Z";
  return record;
}

TEST(ReportState, StateIsRuncsFieldForField) {
  EXPECT_EQ(StateJson(Running()), R"({
  "ociVersion": "1.0.2-dev",
  "id": "c1",
  "pid": 4711,
  "status": "running",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-01-02T03:04:05.000000006Z",
  "owner": ""
}
)");
}

TEST(ReportState, AnnotationsStandBeforeTheOwner) {
  Record record = Running();
  record.state.annotations = {{"k", "v"}};
  const auto json = nlohmann::ordered_json::parse(StateJson(record));
  std::vector<std::string> keys;
  for (const auto& item : json.items()) keys.push_back(item.key());
  EXPECT_EQ(keys, (std::vector<std::string>{"ociVersion", "id", "pid", "status", "bundle", "rootfs", "created",
                                            "annotations", "owner"}));
  EXPECT_EQ(json["annotations"]["k"], "v");
}

TEST(ReportState, AStoppedContainerHasNoPid) {
  Record record = Running();
  record.state.status = sandbox::Status::kStopped;
  const auto json = nlohmann::json::parse(StateJson(record));
  EXPECT_EQ(json["pid"], 0);
  EXPECT_EQ(json["status"], "stopped");
}

TEST(ReportState, AContainerWhoseSandboxHasGoneIsStopped) {
  Record record = Running();
  record.state.sandbox.start_time += 1;  // another process with the same pid
  EXPECT_EQ(nlohmann::json::parse(StateJson(record))["status"], "stopped");
}

TEST(ReportState, ListAsJson) {
  std::vector<Record> records;
  EXPECT_EQ(ListJson(records), "null\n");
  records.push_back(Running());
  EXPECT_EQ(ListJson(records), R"([{"ociVersion":"1.0.2-dev","id":"c1","pid":4711,"status":"running","bundle":"/b",)"
                               R"("rootfs":"/b/rootfs","created":"2026-01-02T03:04:05.000000006Z","owner":"root"}])"
                               "\n");
}

TEST(ReportState, ListAsTable) {
  std::vector<Record> records;
  records.push_back(Running());
  EXPECT_EQ(ListTable(records),
            "ID          PID         STATUS      BUNDLE      CREATED                          OWNER\n"
            "c1          4711        running     /b          2026-01-02T03:04:05.000000006Z   root\n");
}

}  // namespace
}  // namespace kata::runtime
