// SPDX-License-Identifier: Apache-2.0
#include "base/cpu_weight.h"

#include <gtest/gtest.h>

namespace kata {
namespace {

TEST(CpuWeight, AsTheKernelsRangesAre) {
  EXPECT_EQ(CpuWeightOf(2), 1U);
  EXPECT_EQ(CpuWeightOf(0), 1U);
  EXPECT_EQ(CpuWeightOf(kDefaultCpuShares), 39U);
  EXPECT_EQ(CpuWeightOf(262144), 10000U);
  EXPECT_EQ(CpuWeightOf(1U << 30U), 10000U);
}

}  // namespace
}  // namespace kata
