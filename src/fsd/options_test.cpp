// SPDX-License-Identifier: Apache-2.0
#include "fsd/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace kata::fsd {
namespace {

using ::testing::HasSubstr;

Result<Options> Parse(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  return ParseOptions(pointers);
}

// What it says about this word, in a command line that is good otherwise.
std::string Complaint(std::vector<std::string> words) {
  words.insert(words.end(), {"-o", "source=/s", "--fd=3"});
  const auto options = Parse(words);
  return options ? "" : options.error().message();
}

// As hypervisor/file_server_test.cpp has it.
TEST(FsdOptionsTest, TheCommandLineOfThisProject) {
  const auto options =
      Parse({"-f", "--thread-pool-size=1", "-o", "announce_submounts", "-o", "cache=always", "-o",
             "xattrmap=/ok/all/user./user.//ok/all/security.capability/security.capability//unsupported/all///", "-o",
             "sandbox=namespace", "-o", R"(source=/run/kata/a\,b\\c/shared)", "--rlimit-nofile=20000", "--fd=3"});
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->source, R"(/run/kata/a,b\c/shared)");
  EXPECT_EQ(options->listener, 3);
  EXPECT_EQ(options->max_files, 20000);
  EXPECT_EQ(options->threads, 2);
  EXPECT_EQ(options->cache, Cache::kAlways);
  EXPECT_TRUE(options->readdirplus);
  EXPECT_TRUE(options->announce_submounts);
}

TEST(FsdOptionsTest, SeveralInAList) {
  const auto options =
      Parse({"-o", "cache=none,no_readdirplus,,timeout=7,log_level=err,source=/s", "--fd=0", "--thread-pool-size=5"});
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->cache, Cache::kNever);
  EXPECT_EQ(options->level, log::Level::kError);
  EXPECT_FALSE(options->readdirplus);
  EXPECT_FALSE(options->announce_submounts);
  EXPECT_EQ(options->timeout, 7U);
  EXPECT_EQ(options->threads, 5);
}

TEST(FsdOptionsTest, WhatIsNeeded) {
  EXPECT_THAT(Parse({"--fd=3"}).error().message(), HasSubstr("source=DIR"));
  EXPECT_THAT(Parse({"-o", "source=/s"}).error().message(), HasSubstr("--fd="));
  EXPECT_TRUE(Parse({"--version"}).value().version);
}

TEST(FsdOptionsTest, UnknownOnesAreNamed) {
  EXPECT_EQ(Complaint({}), "");
  EXPECT_THAT(Complaint({"--socket-path=/x"}), HasSubstr("--socket-path=/x"));
  EXPECT_THAT(Complaint({"-d"}), HasSubstr("-d"));
  EXPECT_THAT(Complaint({"/elsewhere"}), HasSubstr("/elsewhere"));
  EXPECT_THAT(Complaint({"-o", "writeback"}), HasSubstr("writeback"));
  EXPECT_THAT(Complaint({"-o", "flock"}), HasSubstr("flock"));
  EXPECT_THAT(Complaint({"-o", "sandbox=chroot"}), HasSubstr("sandbox=chroot"));
  EXPECT_THAT(Complaint({"-o", "cache=often"}), HasSubstr("cache=often"));
  EXPECT_THAT(Complaint({"-o", "log_level=loud"}), HasSubstr("log_level=loud"));
  for (const char* word : {"--fd=", "--fd=x", "--fd=-1", "--fd=3x", "--fd=99999999999", "--rlimit-nofile=",
                           "--rlimit-nofile=-1", "--thread-pool-size=65", "--thread-pool-size=1 "}) {
    EXPECT_THAT(Complaint({word}), HasSubstr(word));
  }
  EXPECT_THAT(Parse({"-o", "source=/s", "--fd=3", "-o"}).error().message(), HasSubstr("-o"));
}

}  // namespace
}  // namespace kata::fsd
