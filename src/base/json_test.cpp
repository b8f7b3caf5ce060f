// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <gtest/gtest.h>

namespace kata {
namespace {

std::string Nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(ParseJson, TakesWhatIsJson) {
  EXPECT_EQ(*ParseJson(R"({"a": [1, "x"]})", 100), (nlohmann::json{{"a", {1, "x"}}}));
  EXPECT_EQ(ParseJson("{", 100).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ParseJson("", 100).error().code(), Code::kInvalidArgument);
}

TEST(ParseJson, DepthHasABound) {
  EXPECT_TRUE(ParseJson(Nested(kMaxJsonDepth), 1000));
  EXPECT_EQ(ParseJson(Nested(kMaxJsonDepth + 1), 1000).error().message(), "nested deeper than 32 levels");
  EXPECT_EQ(ParseJson(Nested(100000), 1U << 20U).error().code(), Code::kInvalidArgument);
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_EQ(ParseJson(objects, 1U << 20U).error().code(), Code::kInvalidArgument);
  // Surplus closing brackets do not allow more depth.
  EXPECT_FALSE(ParseJson(std::string(1000, ']') + Nested(1000), 1U << 20U));
}

TEST(ParseJson, BracketsInStringsAreText) {
  const std::string brackets(100, '[');
  EXPECT_EQ(*ParseJson("\"\\\"" + brackets + "\"", 1000), "\"" + brackets);
  EXPECT_FALSE(ParseJson("[\"\\\\\"," + Nested(40) + "]", 1000));
}

TEST(ParseJson, SizeHasABound) {
  EXPECT_TRUE(ParseJson("[1]", 3));
  EXPECT_EQ(ParseJson("[12]", 3).error().code(), Code::kOutOfRange);
}

}  // namespace
}  // namespace kata
