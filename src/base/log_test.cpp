// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/files.h"
#include "base/unique_fd.h"

namespace kata {
namespace {

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override {
    log::SetOutput(STDERR_FILENO, log::Format::kText);
    log::SetLevel(log::Level::kInfo);
  }
  std::string Written() {
    lseek(file_.get(), 0, SEEK_SET);
    return ReadAll(file_.get()).value();
  }
  UniqueFd file_{memfd_create("log", MFD_CLOEXEC)};
};

TEST_F(LogTest, TextEscapesWhatAGuestMaySend) {
  log::SetOutput(file_.get(), log::Format::kText);
  log::Error("a\x1b[31m \"b\"\nlevel=info");
  const std::string text = Written();
  EXPECT_NE(text.find(R"( level=error msg="a\u001b[31m \"b\"\nlevel=info")"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST_F(LogTest, JsonHasRuncsKeys) {
  log::SetOutput(file_.get(), log::Format::kJson);
  log::Error("no {}", "way");
  EXPECT_EQ(Written().find(R"({"level":"error","msg":"no way","time":")"), 0U);
}

TEST_F(LogTest, LevelsBelowTheSetOneAreDropped) {
  log::SetOutput(file_.get(), log::Format::kText);
  log::SetLevel(log::Level::kWarning);
  log::Info("quiet");
  EXPECT_EQ(Written(), "");
}

}  // namespace
}  // namespace kata
