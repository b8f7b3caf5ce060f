// SPDX-License-Identifier: Apache-2.0
#include "sandbox/sandbox_process.h"

#include <gtest/gtest.h>

#include "sandbox/ready.h"
#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

using testing::Pipe;

TEST(Launch, ArgumentsComeBack) {
  SandboxOptions options{.id = "c 1",
                         .bundle = "/b --id x",
                         .config_path = "/c.toml",
                         .cgroups = {"/p1", "/p2"},
                         .cgroup_paths = {"/q"},
                         .network_namespace = true,
                         .debug = true};
  auto parsed = ParseSandboxArguments(SandboxArguments(options));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(SandboxArguments(*parsed), SandboxArguments(options));
  EXPECT_EQ(parsed->bundle, options.bundle);
  EXPECT_TRUE(parsed->debug);
  EXPECT_TRUE(parsed->network_namespace);
}

TEST(Launch, WrongArgumentsAreRefused) {
  EXPECT_FALSE(ParseSandboxArguments({}));
  EXPECT_FALSE(ParseSandboxArguments({"--id"}));
  EXPECT_FALSE(ParseSandboxArguments({"--id", "x"}));
  EXPECT_FALSE(ParseSandboxArguments({"--id", "x", "--bundle", "/b", "--what", "y"}));
}

TEST(Launch, ReadyTellsHowItWent) {
  auto [reader, writer] = Pipe();
  LaunchedSandbox good{.ready = std::move(reader)};
  ASSERT_TRUE(WriteAll(writer.get(), std::string(1, kReady)));
  EXPECT_TRUE(good.AwaitReady(std::chrono::milliseconds(testing::kHang)));
}

TEST(Launch, ReadyCarriesTheError) {
  auto [reader, writer] = Pipe();
  LaunchedSandbox bad{.ready = std::move(reader)};
  ASSERT_TRUE(WriteAll(writer.get(), "the moon is wrong"));
  writer.Reset();
  auto ready = bad.AwaitReady(std::chrono::milliseconds(testing::kHang));
  ASSERT_FALSE(ready);
  EXPECT_NE(ready.error().message().find("the moon is wrong"), std::string::npos);
}

TEST(Launch, AnEndWithoutAWordIsAnError) {
  auto [reader, writer] = Pipe();
  LaunchedSandbox bad{.ready = std::move(reader)};
  writer.Reset();
  auto ready = bad.AwaitReady(std::chrono::milliseconds(testing::kHang));
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().code(), Code::kUnavailable);
}

TEST(Launch, SilenceIsBounded) {
  auto [reader, writer] = Pipe();
  LaunchedSandbox slow{.ready = std::move(reader)};
  auto ready = slow.AwaitReady(std::chrono::milliseconds(1));
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace kata::sandbox
