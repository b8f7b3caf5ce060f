// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "runtime/benchmark_bundle.h"
#include "runtime/benchmark_runs.h"

namespace kata::runtime {
namespace {

using ::testing::HasSubstr;

class BenchmarkTest : public ::testing::Test {
 protected:
  BenchmarkTest() { std::filesystem::create_directories(directory_); }
  ~BenchmarkTest() override { std::filesystem::remove_all(directory_); }

  std::string Program(const std::string& script) {
    std::string path = directory_ + "/runtime";
    const auto file = Open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    EXPECT_TRUE(WriteAll(file->get(), "#!/bin/sh\n" + script));
    return path;
  }

  std::string directory_ = ::testing::TempDir() + "benchmark_test";
  Interrupts interrupts_ = Interrupts::Ending().value();
};

TEST_F(BenchmarkTest, Medians) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(Median({7}), 7);
}

TEST_F(BenchmarkTest, TheRootfsHasTheHostsPrograms) {
  const auto rootfs = MakeBenchmarkRootfs(directory_, "");
  ASSERT_TRUE(rootfs) << rootfs.error().message();
  const auto bundle = MakeBenchmarkBundle(directory_, "b", *rootfs, {"/bin/true"});
  ASSERT_TRUE(bundle) << bundle.error().message();
  const auto spec = nlohmann::json::parse(ReadFile(*bundle + "/config.json").value());
  EXPECT_EQ(spec["process"]["args"], nlohmann::json::array({"/bin/true"}));
  EXPECT_EQ(spec["process"]["terminal"], false);
  bool usr = false;
  for (const auto& mount : spec["mounts"]) {
    if (mount["type"] != "bind") continue;
    EXPECT_EQ(mount["destination"], mount["source"]);
    EXPECT_THAT(mount["options"].get<std::vector<std::string>>(), ::testing::Contains("ro"));
    usr = usr || mount["source"] == "/usr";
  }
  EXPECT_TRUE(usr);
  EXPECT_EQ(std::filesystem::is_symlink("/bin"), std::filesystem::is_symlink(rootfs->path + "/bin"));
}

TEST_F(BenchmarkTest, ARootfsWithoutTheProgramsIsRefused) {
  const auto rootfs = MakeBenchmarkRootfs(directory_, directory_);
  ASSERT_FALSE(rootfs);
  EXPECT_EQ(rootfs.error().code(), Code::kNotFound);
  EXPECT_THAT(rootfs.error().message(), HasSubstr("--rootfs"));
}

TEST_F(BenchmarkTest, EveryVerbIsMeasured) {
  const MeasuredRuntime runtime("r", {Program("echo \"$1\" >>" + directory_ + "/calls; echo out")}, "", interrupts_);
  const auto lives = runtime.Lives("t", "e", "s", 2);
  ASSERT_TRUE(lives) << lives.error().message();
  ASSERT_EQ(lives->size(), 5U);
  for (const auto& [name, value] : *lives) EXPECT_GT(value, 0) << name;
  EXPECT_EQ(ReadFile(directory_ + "/calls").value(),
            "run\nrun\nrun\nexec\nstate\nexec\nstate\nexec\nstate\ndelete\n"
            "run\nrun\nrun\nexec\nstate\nexec\nstate\nexec\nstate\ndelete\n");
}

TEST_F(BenchmarkTest, WhatFailsIsToldAndRemoved) {
  const MeasuredRuntime runtime(
      "r", {Program("echo \"$1\" >>" + directory_ + "/calls; [ $1 != exec ] || { echo because >&2; exit 3; }")}, "",
      interrupts_);
  const auto lives = runtime.Lives("t", "e", "s", 1);
  ASSERT_FALSE(lives);
  EXPECT_EQ(lives.error().message(), "r exec exited with status 3: because");
  EXPECT_EQ(ReadFile(directory_ + "/calls").value(), "run\nrun\nrun\nexec\ndelete\n");
}

}  // namespace
}  // namespace kata::runtime
