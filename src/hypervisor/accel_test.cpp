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
    facts_.cpuinfo = directory_ + "/accel_test_cpuinfo";
    facts_.kvm = directory_ + "/accel_test_no_kvm";
    facts_.needs_processor_flag = true;
    Flags("fpu vme svme lahf_lm");
  }
  ~AccelTest() override { unlink(facts_.cpuinfo.c_str()); }

  void Flags(const std::string& flags) {
    std::ofstream(facts_.cpuinfo) << "processor\t: 0\nmodel name\t: vmx svm\nflags\t\t: " << flags
                                  << "\nbugs\t\t: vmx\n";
  }
  void KvmOpens() { facts_.kvm = "/dev/null"; }

  std::string directory_ = ::testing::TempDir();
  AccelFacts facts_;
};

TEST_F(AccelTest, KvmWhenItOpensAndTheProcessorHasAFlag) {
  KvmOpens();
  for (const char* flags : {"fpu vmx sse", "fpu svm", "svm fpu"}) {
    Flags(flags);
    const auto choice = ChooseAccelFrom(facts_, "auto");
    ASSERT_TRUE(choice) << choice.error().message();
    EXPECT_EQ(choice->accel, Accel::kKvm) << flags;
    EXPECT_THAT(choice->why, HasSubstr("hardware virtualization"));
  }
}

TEST_F(AccelTest, TcgWhenKvmOpensWithoutAFlag) {
  KvmOpens();
  const auto choice = ChooseAccelFrom(facts_, "auto");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kTcg);
  EXPECT_THAT(choice->why, HasSubstr("neither vmx nor svm"));
}

TEST_F(AccelTest, KvmWithoutAFlagWhenDemanded) {
  KvmOpens();
  const auto choice = ChooseAccelFrom(facts_, "kvm");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kKvm);
}

TEST_F(AccelTest, KvmWithoutAFlagOnOtherProcessors) {
  KvmOpens();
  facts_.needs_processor_flag = false;
  const auto choice = ChooseAccelFrom(facts_, "auto");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kKvm);
}

TEST_F(AccelTest, TcgWithoutDevice) {
  Flags("vmx");
  const auto choice = ChooseAccelFrom(facts_, "auto");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kTcg);
  EXPECT_THAT(choice->why, HasSubstr("accel_test_no_kvm"));
}

TEST_F(AccelTest, KvmDemandedWithoutDeviceIsAnError) {
  const auto choice = ChooseAccelFrom(facts_, "kvm");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(choice.error().message(), HasSubstr("No such file"));
}

TEST_F(AccelTest, TcgWhenDemanded) {
  KvmOpens();
  Flags("vmx");
  const auto choice = ChooseAccelFrom(facts_, "tcg");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->accel, Accel::kTcg);
}

TEST_F(AccelTest, AnythingElseIsRefused) {
  const auto choice = ChooseAccelFrom(facts_, "hvf");
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code(), Code::kInvalidArgument);
}

TEST(TimeoutScaleTest, OnlyEmulationIsSlower) {
  EXPECT_EQ(TimeoutScale(Accel::kKvm), 1);
  EXPECT_GT(TimeoutScale(Accel::kTcg), 1);
}

}  // namespace
}  // namespace kata::hypervisor
