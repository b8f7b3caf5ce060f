// SPDX-License-Identifier: Apache-2.0
#include "agent/options.h"

#include <gtest/gtest.h>

namespace kata::agent {
namespace {

TEST(OptionsTest, DefaultsAreKatas) {
  const Options options = ParseOptions("");
  EXPECT_EQ(options.log_level, log::Level::kInfo);
  EXPECT_EQ(options.server_address, "");
  EXPECT_EQ(options.pipe_size, 0U);
  EXPECT_EQ(options.hotplug_timeout, std::chrono::seconds(contract::kHotplugTimeout));
}

TEST(OptionsTest, ReadsItsWordsAmongOthers) {
  const Options options = ParseOptions(
      "console=hvc0  panic=1\tagent.log=trace agent.server_addr=vsock://-1:2048 agent.container_pipe_size=131072 "
      "agent.hotplug_timeout=10 xagent.log=error agent.debug_console agent.devmode\n");
  EXPECT_EQ(options.log_level, log::Level::kDebug);
  EXPECT_EQ(options.server_address, "vsock://-1:2048");
  EXPECT_EQ(options.pipe_size, 131072U);
  EXPECT_EQ(options.hotplug_timeout, std::chrono::seconds(10));
}

TEST(OptionsTest, LeavesOutWhatItDoesNotUnderstand) {
  const Options options = ParseOptions(
      "agent.log=loud agent.server_addr= agent.container_pipe_size=4294967295 agent.container_pipe_size=12k "
      "agent.hotplug_timeout=-1 agent. agent.log");
  EXPECT_EQ(options.log_level, log::Level::kInfo);
  EXPECT_EQ(options.server_address, "");
  EXPECT_EQ(options.pipe_size, 0U);
  EXPECT_EQ(options.hotplug_timeout, std::chrono::seconds(contract::kHotplugTimeout));
}

}  // namespace
}  // namespace kata::agent
