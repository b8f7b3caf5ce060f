// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/host_tsc.h"

#include <gtest/gtest.h>

namespace kata::hypervisor::qemu {
namespace {

#if defined(__x86_64__)
// Two measurements of different lengths agree. A busy host may spoil some attempts, but not all of many.
TEST(TscMeterTest, MeasurementsAgree) {
  const TscMeter meter;
  uint32_t first = 0;
  for (int i = 0; i < 1000000 && (first == 0 || meter.elapsed() < TscMeter::kEnough); ++i) first = meter.Khz();
  ASSERT_GT(first, 0U);
  const TscMeter other;
  uint32_t second = 0;
  for (int i = 0; i < 1000000 && (second == 0 || other.elapsed() < TscMeter::kEnough); ++i) second = other.Khz();
  ASSERT_GT(second, 0U);
  EXPECT_NEAR(first, second, first * 300e-6);
}
#endif

TEST(TscMeterTest, NoTimeIsNoMeasurement) { EXPECT_EQ(TscMeter().Khz(), 0U); }

}  // namespace
}  // namespace kata::hypervisor::qemu
