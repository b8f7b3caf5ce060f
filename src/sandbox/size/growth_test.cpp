// SPDX-License-Identifier: Apache-2.0
#include "sandbox/size/growth.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/testing/fake_agent.h"
#include "sandbox/testing/fake_hypervisor.h"
#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

grpc::LinuxResources Limits(int64_t memory_mib, int64_t cpu_percent = 0) {
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(memory_mib << 20);
  if (cpu_percent != 0) resources.mutable_cpu()->set_quota(cpu_percent * 1000);
  return resources;
}

// A VM of 1 vCPU and 256 MiB on a host with 8 processors and 16384 MiB.
class GrowthTest : public testing::LoopTest {
 protected:
  GrowthTest() : agent_(io_.get_executor()), fake_vm_(std::make_shared<testing::FakeVm>(io_.get_executor())) {
    fake_vm_->connect = [this] { return agent_.Connect(); };
    rules_.fixed = false;
    rules_.host = {.cpus = 8, .memory_mib = 16384};
    rules_.hypervisor.default_memory = 256;
  }
  ~GrowthTest() override {
    if (vm_) Await(Stop(vm_));
  }
  static asio::awaitable<Result<>> Stop(std::shared_ptr<Vm> vm) {
    co_await vm->Stop(false);
    co_return Result<>();
  }

  void Boot() {
    VmParts parts;
    parts.id = "c1";
    parts.hypervisor = std::make_unique<testing::FakeHypervisor>(fake_vm_);
    vm_ = std::make_shared<Vm>(io_.get_executor(), std::move(parts));
    grpc::CreateSandboxRequest request;
    asio::co_spawn(io_, Vm::Boot(vm_, VmSize{.vcpus = 1, .memory_mib = 256}, request), [](std::exception_ptr) {});
    ASSERT_TRUE(Await(vm_->Ready()));
    growth_ = std::make_shared<Growth>(vm_, rules_);
  }
  Result<> Admit(const char* container, const grpc::LinuxResources& limits) {
    fake_vm_->sizes.clear();
    auto admitted = Await(growth_->Admit(container, limits));
    if (admitted) growth_->Taken(container);
    return admitted;
  }
  std::vector<std::string> AfterForgetting(const char* container) {
    fake_vm_->sizes.clear();
    growth_->Forget(container);
    io_.poll();
    return fake_vm_->sizes;
  }

  testing::FakeAgent agent_;
  std::shared_ptr<testing::FakeVm> fake_vm_;
  GrowthRules rules_;
  std::shared_ptr<Vm> vm_;
  std::shared_ptr<Growth> growth_;
};

TEST_F(GrowthTest, FollowsTheSumOfTheContainers) {
  Boot();
  ASSERT_TRUE(Admit("a", {}));
  EXPECT_THAT(fake_vm_->sizes, IsEmpty());
  ASSERT_TRUE(Admit("b", Limits(512, 50)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("vcpus 2", "memory 768"));
  EXPECT_THAT(agent_.calls, IsSupersetOf({"OnlineCPUMem 1", "OnlineCPUMem 0"}));
  ASSERT_TRUE(Admit("c", Limits(100, 50)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 868"));
  ASSERT_TRUE(Admit("b", Limits(600)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 956"));
  // The memory stays plugged, and is enough for the next container.
  EXPECT_THAT(AfterForgetting("b"), ElementsAre());
  ASSERT_TRUE(Admit("d", Limits(600, 50)));
  EXPECT_THAT(fake_vm_->sizes, IsEmpty());
}

TEST_F(GrowthTest, GivesBackWhatCanBeGivenBackAndNeverMoreThanItGot) {
  fake_vm_->can.returns_memory = true;
  Boot();
  ASSERT_TRUE(Admit("a", Limits(512, 150)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("vcpus 3", "memory 768"));
  ASSERT_TRUE(Admit("b", Limits(512)));
  EXPECT_THAT(AfterForgetting("a"), ElementsAre("vcpus 1", "memory 768"));
  EXPECT_THAT(AfterForgetting("b"), ElementsAre("memory 256"));
}

TEST_F(GrowthTest, AnUpdateThatTheGuestRefusesLeavesTheOldLimits) {
  fake_vm_->can.returns_memory = true;
  Boot();
  ASSERT_TRUE(Admit("a", Limits(512)));
  ASSERT_TRUE(Await(growth_->Admit("a", Limits(1024))));
  fake_vm_->sizes.clear();
  growth_->Refused("a");
  io_.poll();
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 768"));
  // Memory is not taken away before the guest has applied the lower limit.
  fake_vm_->sizes.clear();
  ASSERT_TRUE(Await(growth_->Admit("a", Limits(100))));
  EXPECT_THAT(fake_vm_->sizes, IsEmpty());
  growth_->Taken("a");
  io_.poll();
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 356"));
}

TEST_F(GrowthTest, GetsWhatWasAnnouncedWithTheFirstThatNeedsMore) {
  rules_.announced = {.memory_mib = 1000, .cpus = 3};
  Boot();
  ASSERT_TRUE(Admit("a", {}));
  EXPECT_THAT(fake_vm_->sizes, IsEmpty());
  ASSERT_TRUE(Admit("b", Limits(10)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 1256"));
  ASSERT_TRUE(Admit("c", Limits(0, 10)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("vcpus 4"));
}

TEST_F(GrowthTest, GrowsInStepsThatTheGuestCanTake) {
  rules_.hypervisor.default_memory = 256;
  Boot();
  ASSERT_TRUE(Admit("a", Limits(15000)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 12544", "memory 15256"));
}

TEST_F(GrowthTest, ManyContainersOfAPod) {
  fake_vm_->memory_slots = fake_vm_->can.memory_slots;
  Boot();
  std::vector<std::string> sizes;
  for (int i = 0; i < 12; ++i) {
    const auto admitted = Admit(fmt::format("c{}", i).c_str(), Limits(300));
    ASSERT_TRUE(admitted) << i << ": " << admitted.error().message();
    sizes.insert(sizes.end(), fake_vm_->sizes.begin(), fake_vm_->sizes.end());
  }
  // The first half of the slots brings what is needed. With the second half the VM has enough for the 3856 MiB that are
  // needed, a small part of the host's memory.
  EXPECT_THAT(sizes, ElementsAre("memory 556", "memory 856", "memory 1156", "memory 1456", "memory 1756", "memory 2669",
                                 "memory 4136"));
}

class SlotsTest : public GrowthTest, public ::testing::WithParamInterface<uint32_t> {};

TEST_P(SlotsTest, LeadToTheLargestInSmallSteps) {
  constexpr int64_t kLargest = 8192;
  rules_.hypervisor.default_maxmemory = kLargest;
  fake_vm_->can.memory_slots = GetParam();
  fake_vm_->memory_slots = GetParam();
  Boot();
  for (int64_t mib = 128; mib <= kLargest; mib += 128) {
    const auto raised = Admit("a", Limits(mib));
    ASSERT_TRUE(raised) << mib << ": " << raised.error().message();
    for (const std::string& size : fake_vm_->sizes) {
      const int64_t got = std::stoll(size.substr(size.find(' ')));
      EXPECT_LE(got, kLargest);
      EXPECT_GE(got, std::min(256 + mib, kLargest));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Some, SlotsTest, ::testing::Values(1, 2, 3, 10, 256));

TEST_F(GrowthTest, TheHostsMemoryIsReachedInSmallSteps) {
  fake_vm_->memory_slots = fake_vm_->can.memory_slots;
  Boot();
  for (int64_t i = 1; i <= 40; ++i) {
    const auto raised = Admit("a", Limits(i * 128));
    ASSERT_TRUE(raised) << i << ": " << raised.error().message();
  }
  ASSERT_TRUE(Admit("b", Limits(16384 - 40 * 128)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 16384"));
}

TEST_F(GrowthTest, WhatWouldBeTakenFromTheHostAtOnceIsNoMoreThanNeeded) {
  fake_vm_->can.takes_memory_ahead = true;
  fake_vm_->can.memory_slots = 4;
  fake_vm_->memory_slots = 4;
  Boot();
  for (int64_t mib = 100; mib <= 400; mib += 100) {
    ASSERT_TRUE(Admit("a", Limits(mib)));
    EXPECT_THAT(fake_vm_->sizes, ElementsAre(fmt::format("memory {}", 256 + mib)));
  }
  const auto more = Admit("a", Limits(500));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), Code::kResourceExhausted);
}

TEST_F(GrowthTest, RefusesMoreThanTheHostHasForAllTogether) {
  Boot();
  ASSERT_TRUE(Admit("a", Limits(10000)));
  EXPECT_TRUE(growth_->Check("b", Limits(6384)));
  const auto more = growth_->Check("b", Limits(6385));
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message(), HasSubstr("more than this host has"));
  EXPECT_FALSE(Admit("b", Limits(6385)));
  EXPECT_THAT(fake_vm_->sizes, IsEmpty());
  // Refused limits do not count.
  EXPECT_TRUE(Admit("b", Limits(6384)));
  EXPECT_TRUE(growth_->Check("b", Limits(100)));
}

TEST_F(GrowthTest, AFailureOfTheHypervisorIsTold) {
  Boot();
  fake_vm_->resize_result = Fail(Code::kResourceExhausted, "all slots are used");
  const auto admitted = Admit("a", Limits(512));
  ASSERT_FALSE(admitted);
  EXPECT_EQ(admitted.error().code(), Code::kResourceExhausted);
  fake_vm_->resize_result = {};
  ASSERT_TRUE(Admit("a", Limits(512)));
  EXPECT_THAT(fake_vm_->sizes, ElementsAre("memory 768"));
}

TEST_F(GrowthTest, AFixedOneTakesWhatFitsIn) {
  rules_.fixed = true;
  Boot();
  EXPECT_TRUE(Admit("a", Limits(256, 500)));
  const auto more = Admit("b", Limits(257));
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message(),
              HasSubstr("257 MiB are more than the 256 MiB of the container's virtual machine"));
  EXPECT_THAT(fake_vm_->sizes, IsEmpty());
}

}  // namespace
}  // namespace kata::sandbox
