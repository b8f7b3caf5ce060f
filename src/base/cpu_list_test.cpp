// SPDX-License-Identifier: Apache-2.0
#include "base/cpu_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata {
namespace {

using testing::ElementsAre;
using testing::Optional;

TEST(CpuList, AsInCpuset) {
  EXPECT_THAT(ParseCpuList(""), Optional(ElementsAre()));
  EXPECT_THAT(ParseCpuList("0-3,7"), Optional(ElementsAre(0, 1, 2, 3, 7)));
  EXPECT_THAT(ParseCpuList("8191"), Optional(ElementsAre(8191)));
}

TEST(CpuList, Malformed) {
  for (const char* text :
       {",", "0,", ",0", "1-", "-1", "3-1", "a", "0-3x", "0 ", "0--1", "8192", "0-4294967295", "1\n"}) {
    EXPECT_FALSE(ParseCpuList(text)) << text;
  }
  std::string long_list = "0-8191";
  for (int i = 0; i < 20; ++i) long_list += ",0-8191";
  EXPECT_FALSE(ParseCpuList(long_list)) << "more than anybody needs";
}

}  // namespace
}  // namespace kata
