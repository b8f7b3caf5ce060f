// SPDX-License-Identifier: Apache-2.0
#include "agent/container/cgroup_limits.h"

#include <gmock/gmock.h>

namespace kata::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Writes(const grpc::LinuxResources& resources) {
  const auto limits = TranslateResources(resources);
  EXPECT_TRUE(limits) << limits.error().message();
  std::vector<std::string> writes;
  for (const Limit& limit : *limits) writes.push_back(limit.file + "=" + limit.value);
  return writes;
}

std::string Refusal(const grpc::LinuxResources& resources) {
  const auto limits = TranslateResources(resources);
  EXPECT_FALSE(limits);
  return limits ? "" : limits.error().message();
}

TEST(CgroupLimits, ConvertsWeights) {
  EXPECT_EQ(IoWeight(10), 1U);
  EXPECT_EQ(IoWeight(500), 4950U);
  EXPECT_EQ(IoWeight(1000), 10000U);
}

TEST(CgroupLimits, AnEmptySpecWritesNothing) {
  grpc::LinuxResources resources;
  EXPECT_THAT(Writes(resources), ElementsAre());
  resources.mutable_memory();
  resources.mutable_cpu();
  resources.mutable_pids();
  resources.mutable_blockio();
  EXPECT_THAT(Writes(resources), ElementsAre());
}

TEST(CgroupLimits, MemoryAndSwap) {
  grpc::LinuxResources resources;
  auto* memory = resources.mutable_memory();
  memory->set_limit(1000);
  EXPECT_THAT(Writes(resources), ElementsAre("memory.max=1000"));
  memory->set_swap(1500);
  memory->set_reservation(600);
  EXPECT_THAT(Writes(resources), ElementsAre("memory.swap.max=500", "memory.max=1000", "memory.low=600"));
  memory->set_swap(1000);
  EXPECT_THAT(Writes(resources), ElementsAre("memory.swap.max=0", "memory.max=1000", "memory.low=600"));
  memory->set_swap(-1);
  EXPECT_THAT(Writes(resources), ElementsAre("memory.swap.max=max", "memory.max=1000", "memory.low=600"));
  memory->Clear();
  memory->set_limit(-1);
  EXPECT_THAT(Writes(resources), ElementsAre("memory.swap.max=max", "memory.max=max"));
}

TEST(CgroupLimits, MemoryThatContradictsItselfNamesTheField) {
  grpc::LinuxResources resources;
  auto* memory = resources.mutable_memory();
  memory->set_swap(1000);
  EXPECT_THAT(Refusal(resources), HasSubstr("linux.resources.memory.swap"));
  memory->set_limit(2000);
  EXPECT_THAT(Refusal(resources), HasSubstr("linux.resources.memory.swap"));
}

TEST(CgroupLimits, WhatOnlyVersion1HadIsLeftOut) {
  grpc::LinuxResources resources;
  auto* memory = resources.mutable_memory();
  memory->set_swappiness(60);
  memory->set_disableoomkiller(true);
  memory->set_kernel(1000);
  memory->set_kerneltcp(1000);
  memory->set_limit(2000);
  auto* io = resources.mutable_blockio();
  io->set_leafweight(100);
  io->add_weightdevice()->set_leafweight(100);
  EXPECT_THAT(Writes(resources), ElementsAre("memory.max=2000"));
}

TEST(CgroupLimits, Cpu) {
  grpc::LinuxResources resources;
  auto* cpu = resources.mutable_cpu();
  cpu->set_shares(512);
  cpu->set_quota(50000);
  cpu->set_cpus("0-1");
  cpu->set_mems("0");
  EXPECT_THAT(Writes(resources),
              ElementsAre("cpu.weight=20", "cpu.max=50000 100000", "cpuset.cpus=0-1", "cpuset.mems=0"));
  cpu->Clear();
  cpu->set_quota(-1);
  cpu->set_period(200000);
  cpu->set_burst(1000);
  EXPECT_THAT(Writes(resources), ElementsAre("cpu.max=max 200000", "cpu.max.burst=1000"));
  cpu->Clear();
  cpu->set_idle(1);
  cpu->set_shares(512);  // the kernel refuses a weight for an idle cgroup
  EXPECT_THAT(Writes(resources), ElementsAre("cpu.idle=1"));
  cpu->Clear();
  cpu->set_realtimeruntime(1);
  EXPECT_THAT(Refusal(resources), HasSubstr("linux.resources.cpu.realtimeRuntime"));
}

TEST(CgroupLimits, PidsIoAndHugepages) {
  grpc::LinuxResources resources;
  resources.mutable_pids()->set_limit(64);
  auto* io = resources.mutable_blockio();
  io->set_weight(100);
  auto* device = io->add_throttlewriteiopsdevice();
  device->set_major(8);
  device->set_minor(16);
  device->set_rate(300);
  auto* pages = resources.add_hugepagelimits();
  pages->set_pagesize("2MB");
  pages->set_limit(4096);
  EXPECT_THAT(Writes(resources), ElementsAre("pids.max=64", "io.bfq.weight=100", "io.max=8:16 wiops=300",
                                             "hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096"));
  resources.mutable_pids()->set_limit(-1);
  EXPECT_EQ(Writes(resources)[0], "pids.max=max");
  io->set_weight(5);
  EXPECT_THAT(Refusal(resources), HasSubstr("linux.resources.blockIO.weight"));
  io->Clear();
  pages->set_pagesize("../../x");
  EXPECT_THAT(Refusal(resources), HasSubstr("linux.resources.hugepageLimits[0].pageSize"));
}

TEST(CgroupLimits, UnifiedTakesNamesOfLimitsOnly) {
  grpc::LinuxResources resources;
  (*resources.mutable_unified())["memory.high"] = "1000";
  (*resources.mutable_unified())["cpu.weight"] = "7";
  EXPECT_THAT(Writes(resources), ElementsAre("cpu.weight=7", "memory.high=1000"));
  for (const char* bad : {"../memory.high", "cgroup.procs", "cgroup.kill", "", ".", "..", "memory", "a/b.c"}) {
    grpc::LinuxResources one;
    (*one.mutable_unified())[bad] = "1";
    EXPECT_THAT(Refusal(one), HasSubstr("linux.resources.unified")) << bad;
  }
}

}  // namespace
}  // namespace kata::agent
