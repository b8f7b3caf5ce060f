// SPDX-License-Identifier: Apache-2.0
#include "runtime/start_standin.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"

namespace kata::runtime {
namespace {

class PidFile : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(directory_.data()), nullptr); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(directory_)); }

  std::string directory_ = "/tmp/kata-launch-XXXXXX";
};

TEST_F(PidFile, IsMadeOrReplaced) {
  const std::string path = directory_ + "/pid";
  for (const pid_t pid : {17, 4}) {
    ASSERT_TRUE(CheckPidFile(path));
    auto written = WritePidFile(path, pid);
    ASSERT_TRUE(written) << written.error().message();
    EXPECT_EQ(ReadFile(path).value(), std::to_string(pid));
  }
  EXPECT_TRUE(CheckPidFile(""));
  EXPECT_TRUE(WritePidFile("", 17));
}

// A rename would replace the device with a regular file, for the whole host.
TEST_F(PidFile, TakesThePlaceOfNothingElse) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::string link = directory_ + "/link";
  std::filesystem::create_symlink("/dev/null", link);
  for (const std::string& path : {fifo, link, directory_}) {
    const auto before = std::filesystem::symlink_status(path).type();
    EXPECT_FALSE(CheckPidFile(path)) << path;
    auto written = WritePidFile(path, 17);
    ASSERT_FALSE(written) << path;
    EXPECT_EQ(written.error().message(), "pid file " + path + ": there is something that is no regular file");
    EXPECT_EQ(std::filesystem::symlink_status(path).type(), before);
  }
}

}  // namespace
}  // namespace kata::runtime
