// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/kernel_command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata::hypervisor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(KernelCommandLineTest, TheHypervisorsWordsHaveTheirPlaces) {
  const KernelWords words{.consoles = {"console=a"}, .others = {"clock=b"}};
  config::Config config;
  config.hypervisor.kernel_params = "clock=c";
  const std::string line = KernelCommandLine(config, VmSpec{}, words).value();
  EXPECT_THAT(line, ::testing::StartsWith("quiet console=a "));
  EXPECT_THAT(line, HasSubstr(" clock=b "));
  EXPECT_THAT(line, ::testing::EndsWith(" clock=c"));
}

TEST(KernelCommandLineTest, TheAgentsTimeFollowsTheHosts) {
  config::Config config;
  EXPECT_THAT(KernelCommandLine(config, VmSpec{}, {}).value(), Not(HasSubstr("hotplug_timeout")));
  config.runtime.timeout_factor = 1.6;
  EXPECT_THAT(KernelCommandLine(config, VmSpec{}, {}).value(), HasSubstr("agent.hotplug_timeout=10 "));
}

TEST(KernelCommandLineTest, TheAgentsKeys) {
  config::Config config;
  config.agent.enable_debug = true;
  config.agent.container_pipe_size = 4096;
  config.agent.kernel_modules = {"dummy"};
  const std::string line = KernelCommandLine(config, VmSpec{}, {}).value();
  EXPECT_THAT(line, HasSubstr("agent.log=debug agent.container_pipe_size=4096"));
  EXPECT_THAT(line, Not(HasSubstr("quiet")));
  EXPECT_THAT(line, HasSubstr("nomodule"));
}

TEST(KernelCommandLineTest, TooLongOrUnprintable) {
  config::Config config;
  config.hypervisor.kernel_params = std::string(2048, 'x');
  EXPECT_EQ(KernelCommandLine(config, VmSpec{}, {}).error().code(), Code::kInvalidArgument);
  config.hypervisor.kernel_params = "a\nb";
  EXPECT_EQ(KernelCommandLine(config, VmSpec{}, {}).error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace kata::hypervisor
