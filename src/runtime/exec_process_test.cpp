// SPDX-License-Identifier: Apache-2.0
#include "runtime/exec_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/files.h"

namespace kata::runtime {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

constexpr char kSpec[] = R"({"ociVersion":"1.0.2","process":{"terminal":true,"consoleSize":{"height":3,"width":4},
  "user":{"uid":1,"gid":2,"additionalGids":[7]},"args":["sh"],"env":["PATH=/bin"],"cwd":"/",
  "capabilities":{"bounding":["CAP_KILL"]},"oomScoreAdj":5}})";

Json Make(const ExecOptions& options) {
  auto process = MakeExecProcess(options, kSpec);
  EXPECT_TRUE(process) << process.error().message();
  return process ? Json::parse(process->json) : Json();
}

TEST(ExecProcess, StartsFromTheContainersProcess) {
  const Json process = Make({.id = "c1", .args = {"ls", "-l"}});
  EXPECT_EQ(process["args"], Json({"ls", "-l"}));
  EXPECT_EQ(process["env"], Json({"PATH=/bin"}));
  EXPECT_EQ(process["cwd"], "/");
  EXPECT_EQ(process["user"]["uid"], 1);
  EXPECT_EQ(process["oomScoreAdj"], 5);
  EXPECT_EQ(process["terminal"], false);
  EXPECT_FALSE(process.contains("consoleSize"));
}

TEST(ExecProcess, OptionsGoFirst) {
  ExecOptions options{.id = "c1", .args = {"id"}};
  options.cwd = "/tmp";
  options.user = "10:20";
  options.env = {"A=b"};
  options.additional_gids = {30};
  options.capabilities = {"CAP_CHOWN"};
  options.no_new_privileges = true;
  const Json process = Make(options);
  EXPECT_EQ(process["cwd"], "/tmp");
  EXPECT_EQ(process["user"]["uid"], 10);
  EXPECT_EQ(process["user"]["gid"], 20);
  EXPECT_EQ(process["user"]["additionalGids"], Json({7, 30}));
  EXPECT_EQ(process["env"], Json({"PATH=/bin", "A=b"}));
  EXPECT_EQ(process["capabilities"]["bounding"], Json({"CAP_KILL", "CAP_CHOWN"}));
  EXPECT_EQ(process["capabilities"]["effective"], Json({"CAP_CHOWN"}));
  EXPECT_EQ(process["capabilities"]["permitted"], Json({"CAP_CHOWN"}));
  EXPECT_FALSE(process["capabilities"].contains("inheritable"));
  EXPECT_EQ(process["noNewPrivileges"], true);
}

TEST(ExecProcess, UserWithoutGroupKeepsTheGroup) {
  ExecOptions options{.id = "c1", .args = {"id"}};
  options.user = "10";
  const Json process = Make(options);
  EXPECT_EQ(process["user"]["uid"], 10);
  EXPECT_EQ(process["user"]["gid"], 2);
}

TEST(ExecProcess, WrongUsers) {
  for (const char* wrong : {"root", "-1", "1:", ":1", "1:2:3", "4294967296", "1 ", ""}) {
    ExecOptions options{.id = "c1", .args = {"id"}};
    options.user = wrong;
    if (options.user.empty()) continue;
    EXPECT_FALSE(MakeExecProcess(options, kSpec)) << wrong;
  }
}

TEST(ExecProcess, UnknownCapabilitiesAreAWarning) {
  ExecOptions options{.id = "c1", .args = {"id"}};
  options.capabilities = {"CAP_BOGUS", "cap_chown"};
  auto process = MakeExecProcess(options, kSpec);
  ASSERT_TRUE(process) << process.error().message();
  ASSERT_EQ(process->warnings.size(), 1U);
  EXPECT_THAT(process->warnings[0], HasSubstr("ignoring unknown or unavailable capabilities: [CAP_BOGUS cap_chown]"));
}

TEST(ExecProcess, VariablesNeedAValue) {
  ExecOptions options{.id = "c1", .args = {"id"}};
  options.env = {"NOEQ"};
  auto process = MakeExecProcess(options, kSpec);
  ASSERT_FALSE(process);
  EXPECT_THAT(process.error().message(), HasSubstr("invalid environment variable: \"NOEQ\""));
}

TEST(ExecProcess, NeedsACommand) {
  auto process = MakeExecProcess({.id = "c1"}, kSpec);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().message(), "process args cannot be empty");
}

class ProcessFile : public testing::Test {
 protected:
  ProcessFile() : file_(mkstemp(path_.data())) {}
  ~ProcessFile() override { unlink(path_.c_str()); }

  Result<ExecProcess> Make(const std::string& text) {
    EXPECT_TRUE(WriteAll(file_.get(), text));
    ExecOptions options;
    options.id = "c1";
    options.process_file = path_;
    return MakeExecProcess(options, kSpec);
  }

  std::string path_ = "/tmp/kata-process-XXXXXX";
  UniqueFd file_;
};

TEST_F(ProcessFile, IsTakenAsItIs) {
  const std::string text = R"({"terminal":true,"consoleSize":{"height":24,"width":80},"user":{"uid":0,"gid":0},)"
                           R"("args":["top"],"cwd":"/"})";
  auto process = Make(text);
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_EQ(process->json, text);
  EXPECT_TRUE(process->terminal);
  EXPECT_EQ(process->rows, 24U);
  EXPECT_EQ(process->columns, 80U);
}

TEST_F(ProcessFile, WrongOneNamesTheFileAndTheField) {
  auto process = Make(R"({"args":"top","cwd":"/"})");
  ASSERT_FALSE(process);
  EXPECT_THAT(process.error().message(), HasSubstr(path_));
  EXPECT_THAT(process.error().message(), HasSubstr("args"));
}

}  // namespace
}  // namespace kata::runtime
