// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/kept_probe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "base/json.h"

namespace kata::hypervisor {
namespace {

class KeptProbeTest : public ::testing::Test {
 protected:
  ~KeptProbeTest() override { std::filesystem::remove_all(directory_); }

  // Asks, and counts how often a VM was tried.
  KvmProbe Ask(const KvmProbe& answer) {
    const auto kept = KeptProbe(file_, device_, [&]() -> Result<KvmProbe> {
      ++tried_;
      return answer;
    });
    return kept.value();
  }

  std::string directory_ = ::testing::TempDir() + "kept_probe_test";
  std::string file_ = directory_ + "/kvm.json";
  UniqueFd opened_ = Open("/dev/null", O_RDWR).value();
  int device_ = opened_.get();
  int tried_ = 0;
};

TEST_F(KeptProbeTest, AVmIsTriedOnce) {
  const KvmProbe works{.works = true, .why = "", .exit_time = std::chrono::nanoseconds(1234)};
  for (int i = 0; i < 3; ++i) {
    const KvmProbe kept = Ask(works);
    EXPECT_TRUE(kept.works);
    EXPECT_EQ(kept.exit_time, works.exit_time);
  }
  EXPECT_EQ(tried_, 1);
  struct stat status = {};
  ASSERT_EQ(stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(KeptProbeTest, WhatDoesNotWorkIsKeptWithItsReason) {
  EXPECT_EQ(Ask({.works = false, .why = "it \"hangs\"", .exit_time = {}}).why, "it \"hangs\"");
  const KvmProbe kept = Ask({.works = true, .why = "", .exit_time = {}});
  EXPECT_FALSE(kept.works);
  EXPECT_EQ(kept.why, "it \"hangs\"");
  EXPECT_EQ(tried_, 1);
}

TEST_F(KeptProbeTest, AnErrorIsNotKept) {
  const auto failed = KeptProbe(file_, device_, []() -> Result<KvmProbe> { return FailWith(EBUSY, "x"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().sys(), EBUSY);
  EXPECT_TRUE(Ask({.works = true, .why = "", .exit_time = {}}).works);
  EXPECT_EQ(tried_, 1);
}

TEST_F(KeptProbeTest, AnotherDeviceIsTriedAnew) {
  Ask({.works = true, .why = "", .exit_time = {}});
  const UniqueFd other = Open("/dev/zero", O_RDWR).value();
  device_ = other.get();
  Ask({.works = false, .why = "other", .exit_time = {}});
  EXPECT_EQ(tried_, 2);
}

TEST_F(KeptProbeTest, DamagedFilesAreNotBelieved) {
  Ask({.works = true, .why = "", .exit_time = std::chrono::nanoseconds(1)});
  const std::string good = ReadFile(file_).value();
  std::vector<std::string> damaged = {"", "{", "[]", "null", "{}", std::string(100000, 'x'), std::string(3000, '[')};
  for (const char* key : {"identity", "works", "why", "exit_ns"}) {
    for (const nlohmann::json& value : {nlohmann::json(), nlohmann::json({1}), nlohmann::json(-1)}) {
      auto json = nlohmann::json::parse(good);
      json[key] = value;
      damaged.push_back(json.dump());
      json.erase(key);
      damaged.push_back(json.dump());
    }
  }
  for (const std::string& text : damaged) {
    std::ofstream(file_) << text;
    const int before = tried_;
    EXPECT_FALSE(Ask({.works = false, .why = "tried", .exit_time = {}}).works) << text.substr(0, 80);
    EXPECT_EQ(tried_, before + 1) << text.substr(0, 80);
  }
}

TEST_F(KeptProbeTest, AFifoOrALinkInItsPlaceDoesNoHarm) {
  ASSERT_EQ(mkdir(directory_.c_str(), 0700), 0);
  ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
  EXPECT_TRUE(Ask({.works = true, .why = "", .exit_time = {}}).works);
  std::filesystem::remove(file_);
  const std::string target = directory_ + "/target";
  std::ofstream(target) << "untouched";
  ASSERT_EQ(symlink(target.c_str(), file_.c_str()), 0);
  EXPECT_TRUE(Ask({.works = true, .why = "", .exit_time = {}}).works);
  EXPECT_EQ(ReadFile(target).value(), "untouched");
  EXPECT_EQ(tried_, 2);
}

TEST_F(KeptProbeTest, WhereOthersCouldWriteNothingIsKept) {
  ASSERT_EQ(mkdir(directory_.c_str(), 0700), 0);
  ASSERT_EQ(chmod(directory_.c_str(), 0777), 0);
  Ask({.works = true, .why = "", .exit_time = {}});
  Ask({.works = true, .why = "", .exit_time = {}});
  EXPECT_EQ(tried_, 2);
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(KeptProbeTest, WithoutTheDirectoryItIsTriedEachTime) {
  file_ = "/proc/none/kvm.json";
  Ask({.works = true, .why = "", .exit_time = {}});
  Ask({.works = true, .why = "", .exit_time = {}});
  EXPECT_EQ(tried_, 2);
}

}  // namespace
}  // namespace kata::hypervisor
