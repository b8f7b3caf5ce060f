// SPDX-License-Identifier: Apache-2.0
#include "fsd/freed_space.h"

#include <gtest/gtest.h>

#include <thread>

namespace kata::fsd {
namespace {

using Clock = FreedSpace::Clock;
using std::chrono::hours;
using std::chrono::milliseconds;

TEST(FreedSpace, AFileThatIsClosedLater) {
  FreedSpace space{hours(1)};
  space.Removed();
  const uint64_t since = space.closed();
  std::thread closes([&] { space.Closed(); });
  EXPECT_TRUE(space.Await(since, Clock::now()));
  closes.join();
  EXPECT_EQ(space.closed(), since + 1);
}

TEST(FreedSpace, AFileThatHasBeenClosedMeanwhile) {
  FreedSpace space{hours(1)};
  space.Removed();
  space.Closed();
  EXPECT_TRUE(space.Await(0, Clock::now()));
}

TEST(FreedSpace, NoneIsClosed) {
  FreedSpace space{milliseconds(1)};
  space.Removed();
  space.Closed();
  EXPECT_FALSE(space.Await(1, Clock::now()));
}

TEST(FreedSpace, TheTimeOfARequestEndsHoweverManyAreClosed) {
  FreedSpace space{hours(1)};
  space.Removed();
  space.Closed();
  EXPECT_FALSE(space.Await(0, Clock::now() - hours(2)));
}

TEST(FreedSpace, WhereNothingWasRemovedNothingIsWaitedFor) {
  FreedSpace space{milliseconds(1)};
  space.Closed();
  EXPECT_FALSE(space.Await(0, Clock::now() + hours(1)));
}

}  // namespace
}  // namespace kata::fsd
