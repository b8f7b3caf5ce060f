// SPDX-License-Identifier: Apache-2.0
#include "sandbox/size/sizing.h"

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
  return *SizeVm(config, DemandOf(resources), kHost);
}

TEST(Sizing, BasePlusLimit) {
  EXPECT_EQ(Size(1, 2048, 0, 0, 0), (VmSize{1, 2048}));
  EXPECT_EQ(Size(1, 2048, 512 * kMib, 200000, 100000), (VmSize{3, 2560}));
  EXPECT_EQ(Size(1, 256, 1, 1, 100000), (VmSize{2, 257}));  // rounded up
  EXPECT_EQ(Size(1.5, 256, 0, 150000, 100000).vcpus, 3U);
  EXPECT_EQ(Size(1, 256, 0, 150000, 0).vcpus, 3U);  // with the kernel's default period
}

TEST(Sizing, UnlimitedAddsNothing) { EXPECT_EQ(Size(2, 2048, -1, -1, 100000), (VmSize{2, 2048})); }

TEST(Sizing, NeverMoreThanThereIs) {
  EXPECT_EQ(Size(1, 2048, 16000 * kMib, std::numeric_limits<int64_t>::max(), 1), (VmSize{8, 16384}));
  EXPECT_EQ(Size(-1, 2048, 0, 0, 0).vcpus, 8U);
  EXPECT_EQ(Size(0.1, 2048, 0, 0, 0).vcpus, 1U);
}

TEST(Sizing, MoreMemoryThanTheHostHasIsRefused) {
  config::HypervisorConfig config;
  EXPECT_TRUE(SizeVm(config, {.memory_mib = 16384}, kHost));
  const auto more = SizeVm(config, {.memory_mib = 16385}, kHost);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(more.error().message(),
            "memory.limit: the containers of the VM ask for 16385 MiB, more than this host has, 16384 MiB");
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(std::numeric_limits<int64_t>::max());
  EXPECT_FALSE(SizeVm(config, DemandOf(resources) + DemandOf(resources), kHost));
  config.default_memory = 16385;
  EXPECT_FALSE(SizeVm(config, {}, kHost));
}

TEST(Sizing, ASmallHostGetsASmallVmUnlessSomebodySaidOtherwise) {
  config::HypervisorConfig config;
  constexpr Host kSmall{.cpus = 1, .memory_mib = 1000};
  EXPECT_EQ(*SizeVm(config, {}, kSmall), (VmSize{1, 1000}));
  config.default_memory = 2000;
  EXPECT_FALSE(SizeVm(config, {}, kSmall));
}

TEST(Sizing, TheConfigurationsMaximaHold) {
  config::HypervisorConfig config;
  config.default_maxvcpus = 2;
  config.default_maxmemory = 3000;
  EXPECT_EQ(*SizeVm(config, {.memory_mib = 2999, .cpus = 8}, kHost), (VmSize{2, 3000}));
  const auto more = SizeVm(config, {.memory_mib = 3001}, kHost);
  ASSERT_FALSE(more);
  EXPECT_NE(more.error().message().find("default_maxmemory"), std::string::npos) << more.error().message();
  config.default_maxmemory = 1 << 20;
  EXPECT_EQ(LargestVm(config, kHost), (VmSize{2, 16384})) << "never more than the host has";
}

TEST(Sizing, AnOverheadTakesTheBasesPlaceBesideALimit) {
  config::HypervisorConfig config;
  config.overhead_memory = 100;
  config.overhead_vcpus = 0.5;
  EXPECT_EQ(*SizeVm(config, {}, kHost), (VmSize{1, 2048}));
  EXPECT_EQ(*SizeVm(config, {.memory_mib = 300}, kHost), (VmSize{1, 400}));
  EXPECT_EQ(*SizeVm(config, {.memory_mib = 300, .cpus = 1.5}, kHost), (VmSize{2, 400}));
}

TEST(Sizing, HugePagesAreBesideTheMemoryLimit) {
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(64 * kMib);
  auto& pages = *resources.add_hugepagelimits();
  pages.set_pagesize("2MB");
  pages.set_limit(20 * kMib);
  auto& unlimited = *resources.add_hugepagelimits();
  unlimited.set_pagesize("1GB");
  unlimited.set_limit(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(DemandOf(resources), (Demand{84, 0}));
  grpc::LinuxResources update;
  *update.add_hugepagelimits() = pages;
  update.mutable_hugepagelimits(0)->set_limit(10 * kMib);
  EXPECT_EQ(DemandOf(Updated(resources, update)), (Demand{74, 0}));
}

TEST(Sizing, AnUpdateChangesWhatItNames) {
  grpc::LinuxResources before;
  before.mutable_memory()->set_limit(64 * kMib);
  before.mutable_cpu()->set_quota(150000);
  grpc::LinuxResources update;
  EXPECT_EQ(DemandOf(Updated(before, update)), (Demand{64, 1.5}));
  update.mutable_memory()->set_limit(-1);
  EXPECT_EQ(DemandOf(Updated(before, update)), (Demand{0, 1.5}));
  update.mutable_cpu()->set_period(50000);
  EXPECT_EQ(DemandOf(Updated(before, update)), (Demand{0, 3}));
  (*update.mutable_unified())["memory.max"] = "32M";
  const auto after = Updated(before, update);
  EXPECT_EQ(DemandOf(after), (Demand{32, 3}));
  update.Clear();
  update.mutable_memory()->set_limit(16 * kMib);
  EXPECT_EQ(DemandOf(Updated(after, update)), (Demand{16, 3})) << "the later word counts, in whichever form";
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
    return *SizeVm(config, DemandOf(resources), kHost);
  };
  EXPECT_EQ(size(nullptr, nullptr), (VmSize{3, 272}));
  EXPECT_EQ(size("134217728", "300000 100000"), (VmSize{4, 384}));
  EXPECT_EQ(size("1G", "200000"), (VmSize{5, 1280}));  // with the period from cpu.period
  EXPECT_EQ(size("max", "max 100000"), (VmSize{1, 256}));
  EXPECT_EQ(size("8G", "9223372036854775807 1"), (VmSize{8, 8448}));
  // Malformed values, which the guest's kernel refuses.
  EXPECT_EQ(size("much", "-5"), (VmSize{1, 256}));
}

TEST(Sizing, ThisHostIsSomething) {
  EXPECT_GE(ThisHost().cpus, 1U);
  EXPECT_GT(ThisHost().memory_mib, 64U);
}

}  // namespace
}  // namespace kata::sandbox
