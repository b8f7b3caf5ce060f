// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/accel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace kata::hypervisor {
namespace {

using ::testing::HasSubstr;

class AccelTest : public ::testing::Test {
 protected:
  AccelTest() {
    facts_.kvm = "/dev/null";  // opens
    facts_.probe = [this](int) { return probe_; };
  }

  void VmRuns(std::chrono::nanoseconds exit_time) { probe_ = KvmProbe{true, "", exit_time}; }
  void VmDoesNotRun() { probe_ = KvmProbe{false, "a VM hangs", {}}; }

  AccelFacts facts_;
  Result<KvmProbe> probe_ = KvmProbe{true, "", std::chrono::nanoseconds(1000)};
};

TEST_F(AccelTest, KvmWhereAVmRuns) {
  for (const char* setting : {"auto", "kvm"}) {
    const auto choice = ChooseAccelFrom(facts_, setting);
    ASSERT_TRUE(choice) << choice.error().message();
    EXPECT_EQ(choice->accel, Accel::kKvm) << setting;
    EXPECT_EQ(choice->timeout_scale, 1);
  }
}

TEST_F(AccelTest, TcgWhereNoVmRuns) {
  VmDoesNotRun();
  const auto choice = ChooseAccelFrom(facts_, "auto");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kTcg);
  EXPECT_EQ(choice->why, "/dev/null opens, but a VM hangs");
  EXPECT_GT(choice->timeout_scale, 1);
}

TEST_F(AccelTest, TcgWhileItCannotBeTold) {
  probe_ = FailWith(EBUSY, "no VM can be tried");
  const auto choice = ChooseAccelFrom(facts_, "auto");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kTcg);
  EXPECT_THAT(choice->why, HasSubstr("busy"));
}

TEST_F(AccelTest, KvmDemandedWhereNoVmRunsIsAnError) {
  VmDoesNotRun();
  const auto choice = ChooseAccelFrom(facts_, "kvm");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(choice.error().message(),
            "the configuration says accel = \"kvm\", and /dev/null opens, but a VM hangs; set accel = \"auto\"");
}

TEST_F(AccelTest, SlowExitsMakeTimeoutsLonger) {
  int last = 1;
  for (const int microseconds : {50, 100, 150}) {
    VmRuns(std::chrono::microseconds(microseconds));
    const int scale = ChooseAccelFrom(facts_, "auto").value().timeout_scale;
    EXPECT_GT(scale, last);
    last = scale;
  }
  VmRuns(std::chrono::hours(1));
  EXPECT_LE(ChooseAccelFrom(facts_, "auto").value().timeout_scale, 10) << "an hour shows no host but a fault";
}

class ProcessorTest : public ::testing::Test {
 protected:
  ProcessorTest() {
    facts_.cpuinfo = ::testing::TempDir() + "/accel_test_cpuinfo";
    facts_.needs_processor_flag = true;
  }
  ~ProcessorTest() override { unlink(facts_.cpuinfo.c_str()); }

  bool HasIt(const std::string& flags) {
    std::ofstream(facts_.cpuinfo) << "processor\t: 0\nmodel name\t: vmx svm\nflags\t\t: " << flags
                                  << "\nbugs\t\t: vmx\n";
    return HasHardwareVirtualization(facts_);
  }

  AccelFacts facts_;
};

TEST_F(ProcessorTest, AFlagIsAWholeWord) {
  for (const char* flags : {"fpu vmx sse", "fpu svm", "svm fpu"}) EXPECT_TRUE(HasIt(flags)) << flags;
  EXPECT_FALSE(HasIt("fpu vme svme lahf_lm"));
}

TEST_F(ProcessorTest, OtherArchitecturesHaveNoFlag) {
  facts_.needs_processor_flag = false;
  EXPECT_TRUE(HasIt("fpu"));
}

TEST_F(AccelTest, TcgWithoutDevice) {
  facts_.kvm = ::testing::TempDir() + "/accel_test_no_kvm";
  const auto choice = ChooseAccelFrom(facts_, "auto");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kTcg);
  EXPECT_THAT(choice->why, HasSubstr("accel_test_no_kvm"));
}

TEST_F(AccelTest, KvmDemandedWithoutDeviceIsAnError) {
  facts_.kvm = ::testing::TempDir() + "/accel_test_no_kvm";
  const auto choice = ChooseAccelFrom(facts_, "kvm");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(choice.error().message(), HasSubstr("No such file"));
}

TEST_F(AccelTest, TcgWhenDemanded) {
  const auto choice = ChooseAccelFrom(facts_, "tcg");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kTcg);
}

TEST_F(AccelTest, AnythingElseIsRefused) {
  const auto choice = ChooseAccelFrom(facts_, "hvf");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace kata::hypervisor
