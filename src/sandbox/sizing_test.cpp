// SPDX-License-Identifier: Apache-2.0
#include "sandbox/sizing.h"

#include <gtest/gtest.h>

#include <limits>

namespace kata::sandbox {
namespace {

constexpr int64_t kMib = 1 << 20;
constexpr Host kHost{.cpus = 8, .memory_mib = 16384};

VmSize Size(double vcpus, uint32_t memory, int64_t limit, int64_t quota, uint64_t period) {
  config::HypervisorConfig config;
  config.default_vcpus = vcpus;
  config.default_memory = memory;
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(limit);
  resources.mutable_cpu()->set_quota(quota);
  resources.mutable_cpu()->set_period(period);
  return SizeVm(config, resources, kHost);
}

TEST(Sizing, BasePlusLimit) {
  EXPECT_EQ(Size(1, 2048, 0, 0, 0), (VmSize{1, 2048}));
  EXPECT_EQ(Size(1, 2048, 512 * kMib, 200000, 100000), (VmSize{3, 2560}));
  EXPECT_EQ(Size(1, 256, 1, 1, 100000), (VmSize{2, 257}));  // rounded up
  EXPECT_EQ(Size(1.5, 256, 0, 150000, 100000).vcpus, 3U);
  EXPECT_EQ(Size(1, 256, 0, 150000, 0).vcpus, 3U);  // the kernel's own period
}

TEST(Sizing, UnlimitedAddsNothing) { EXPECT_EQ(Size(2, 2048, -1, -1, 100000), (VmSize{2, 2048})); }

TEST(Sizing, NeverMoreThanThereIs) {
  EXPECT_EQ(Size(1, 2048, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max(), 1),
            (VmSize{8, 16384}));
  EXPECT_EQ(Size(-1, 2048, 0, 0, 0).vcpus, 8U);
  EXPECT_EQ(Size(0.1, 2048, 0, 0, 0).vcpus, 1U);
  // A base above the host's memory stands: memory is taken as the guest touches it.
  EXPECT_EQ(Size(1, 32768, kMib, 0, 0).memory_mib, 32768U);
}

TEST(Sizing, TheConfigurationsMaximaHold) {
  config::HypervisorConfig config;
  config.default_maxvcpus = 2;
  config.default_maxmemory = 3000;
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(4096 * kMib);
  resources.mutable_cpu()->set_quota(800000);
  EXPECT_EQ(SizeVm(config, resources, kHost), (VmSize{2, 3000}));
}

TEST(Sizing, UnifiedCountsInPlaceOfTheOthers) {
  const auto size = [](const char* memory_max, const char* cpu_max) {
    config::HypervisorConfig config;
    config.default_vcpus = 1;
    config.default_memory = 256;
    grpc::LinuxResources resources;
    resources.mutable_memory()->set_limit(16 * kMib);
    resources.mutable_cpu()->set_quota(100000);
    resources.mutable_cpu()->set_period(50000);
    if (memory_max != nullptr) (*resources.mutable_unified())["memory.max"] = memory_max;
    if (cpu_max != nullptr) (*resources.mutable_unified())["cpu.max"] = cpu_max;
    return SizeVm(config, resources, kHost);
  };
  EXPECT_EQ(size(nullptr, nullptr), (VmSize{3, 272}));
  EXPECT_EQ(size("134217728", "300000 100000"), (VmSize{4, 384}));
  EXPECT_EQ(size("1G", "200000"), (VmSize{5, 1280}));  // the period that the other field set
  EXPECT_EQ(size("max", "max 100000"), (VmSize{1, 256}));
  EXPECT_EQ(size("9223372036854775807G", "9223372036854775807 1"), (VmSize{8, 16384}));
  // The guest's kernel refuses it.
  EXPECT_EQ(size("much", "-5"), (VmSize{1, 256}));
}

TEST(Sizing, ThisHostIsSomething) {
  EXPECT_GE(ThisHost().cpus, 1U);
  EXPECT_GT(ThisHost().memory_mib, 64U);
}

}  // namespace
}  // namespace kata::sandbox
