// SPDX-License-Identifier: Apache-2.0
#include "runtime/duration.h"

#include <gtest/gtest.h>

namespace kata::runtime {
namespace {

using std::chrono::nanoseconds;

TEST(Duration, AsGoWritesThem) {
  EXPECT_EQ(ParseDuration("0"), nanoseconds(0));
  EXPECT_EQ(ParseDuration("5s"), std::chrono::seconds(5));
  EXPECT_EQ(ParseDuration("100ms"), std::chrono::milliseconds(100));
  EXPECT_EQ(ParseDuration("1m30s"), std::chrono::seconds(90));
  EXPECT_EQ(ParseDuration("1.5h"), std::chrono::minutes(90));
  EXPECT_EQ(ParseDuration(".5us"), nanoseconds(500));
  EXPECT_EQ(ParseDuration("7ns"), nanoseconds(7));
}

TEST(Duration, Others) {
  for (const char* text :
       {"", "5", "s", "-5s", "5 s", "5s ", "1e3s", "nans", "infs", "5d", "5sec", "400000000000h", "0x1s"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
}

}  // namespace
}  // namespace kata::runtime
