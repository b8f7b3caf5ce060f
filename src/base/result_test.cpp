// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <gtest/gtest.h>

namespace kata {
namespace {

Result<int> Positive(int value) {
  if (value <= 0) return Fail(Code::kInvalidArgument, "{} is not positive", value);
  return value;
}

Result<int> Sum(int a, int b) { return TRY(Positive(a)) + TRY(Context(Positive(b), "second of {}", 2)); }

TEST(Result, TryPassesValuesAndErrors) {
  EXPECT_EQ(Sum(1, 2).value(), 3);
  EXPECT_EQ(Sum(-1, 2).error().message(), "-1 is not positive");
  EXPECT_EQ(Sum(1, -2).error().message(), "second of 2: -2 is not positive");
  EXPECT_EQ(Sum(1, -2).error().code(), Code::kInvalidArgument);
}

TEST(Result, ErrnoGivesTextCodeAndNumber) {
  const Result<> failed = FailWith(ENOENT, "cannot open {}", "/x");
  EXPECT_EQ(failed.error().message(), "cannot open /x: No such file or directory");
  EXPECT_EQ(failed.error().code(), Code::kNotFound);
  EXPECT_EQ(failed.error().sys(), ENOENT);
}

}  // namespace
}  // namespace kata
