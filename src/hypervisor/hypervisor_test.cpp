// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/hypervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

namespace kata::hypervisor {
namespace {

using ::testing::Contains;

Result<std::unique_ptr<Hypervisor>> Create(const config::Config& config) {
  asio::io_context io;
  return CreateHypervisor(io.get_executor(), config);
}

TEST(CreateHypervisorTest, TheConfigurationChooses) {
  EXPECT_THAT(BuiltHypervisors(), Contains("qemu"));
  config::Config config;
  config.hypervisor.name = "clh";
  const auto other = Create(config);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::kUnimplemented);
  EXPECT_EQ(other.error().message(), "the hypervisor \"clh\" is not built in; there are: qemu");
}

TEST(CreateHypervisorTest, WhatQemuCan) {
  asio::io_context io;
  config::Config config;
  config.hypervisor.accel = "tcg";
  const Capabilities can = CreateHypervisor(io.get_executor(), config).value()->Can();
  EXPECT_GT(can.timeout_scale, 1);
  EXPECT_GT(can.usual_vcpus, 0U);
  EXPECT_FALSE(can.returns_memory);
  config.hypervisor.machine_type = "microvm";
  config.hypervisor.enable_virtio_mem = true;
  const Capabilities small = CreateHypervisor(io.get_executor(), config).value()->Can();
  EXPECT_FALSE(small.grows);
  EXPECT_EQ(small.fixed_why, "machine_type = \"q35\"");
  EXPECT_TRUE(small.returns_memory);
  config.hypervisor.machine_type = "q35,evil=on";
  EXPECT_FALSE(CreateHypervisor(io.get_executor(), config));
}

}  // namespace
}  // namespace kata::hypervisor
