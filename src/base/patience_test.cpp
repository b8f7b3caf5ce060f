// SPDX-License-Identifier: Apache-2.0
#include "base/patience.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <optional>

#include "base/child.h"

namespace kata {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Patience::Kind;

// The test controls both time and effort.
class PatienceTest : public ::testing::Test {
 protected:
  void Begin(Kind kind, milliseconds time = seconds(10)) {
    patience_.emplace(
        time, kind, [this] { return effort_; }, "a_key");
  }
  // Waits until patience times out or the given number of seconds is over. The function changes the thread each second.
  template <typename Change>
  milliseconds Wait(Change change, int most = 1000) {
    const auto began = now_;
    for (int second = 0; second < most; ++second) {
      const milliseconds next = patience_->Next(now_);
      if (next.count() == 0) break;
      now_ += next;
      change(next);
    }
    return std::chrono::duration_cast<milliseconds>(now_ - began);
  }

  Effort effort_{.threads = {{1, {}}, {2, {}}}, .said = 0};
  Patience::Clock::time_point now_ = Patience::Clock::now();
  std::optional<Patience> patience_;
};

TEST_F(PatienceTest, OneThatHangsHasItsTime) {
  for (const Kind kind : {Kind::kWork, Kind::kAnswer}) {
    Begin(kind);
    EXPECT_NEAR(Wait([](auto) {}).count(), 10000, 100);
    EXPECT_THAT(patience_->Text(), HasSubstr("within 10 s"));
    EXPECT_THAT(patience_->Text(), HasSubstr("a_key"));
    EXPECT_THAT(patience_->Text(), Not(HasSubstr("progress")));
  }
}

TEST_F(PatienceTest, WorkIsProgressOfAStart) {
  const auto works = [this](milliseconds time) { effort_.threads[1].ran += time / 2; };
  Begin(Kind::kWork);
  EXPECT_GE(Wait(works), seconds(95)) << "up to the longest";
  EXPECT_LE(Wait(works), seconds(105));
  EXPECT_THAT(patience_->Text(), HasSubstr("of them without progress"));
  Begin(Kind::kAnswer);
  EXPECT_NEAR(Wait(works).count(), 10000, 100) << "a guest may be busy with something else";
}

TEST_F(PatienceTest, OutputIsProgressOfAStart) {
  Begin(Kind::kWork);
  int lines = 0;
  const auto says = [&](auto) { effort_.said += lines++ < 30 ? 1 : 0; };
  const auto time = Wait(says);
  EXPECT_GE(time, seconds(38));
  EXPECT_LE(time, seconds(42));
}

TEST_F(PatienceTest, AThreadThatIsIdleMostOfTheTimeDoesNotWork) {
  Begin(Kind::kWork);
  EXPECT_NEAR(Wait([this](milliseconds time) { effort_.threads[1].ran += time / 50; }).count(), 10000, 100);
}

TEST_F(PatienceTest, WhatTheHostTakesIsGivenBack) {
  for (const Kind kind : {Kind::kWork, Kind::kAnswer}) {
    Begin(kind);
    // Both threads wait for half of the time; time in which both wait counts once.
    const auto time = Wait([this](milliseconds time) {
      for (auto& [id, thread] : effort_.threads) {
        thread.ran += time / 100;
        thread.kept += time / 2;
      }
    });
    EXPECT_GE(time, seconds(18));
    EXPECT_LE(time, seconds(21));
  }
}

TEST_F(PatienceTest, ADiskThatIsWaitedForIsTheHosts) {
  Begin(Kind::kAnswer);
  effort_.threads[2].state = 'D';
  Wait([](auto) {}, 30);
  EXPECT_GT(patience_->Next(now_).count(), 0);
  effort_.threads[2].state = 'S';
  EXPECT_LE(Wait([](auto) {}), seconds(11));
}

TEST_F(PatienceTest, OneThatWantsAProcessorAndHasNoneIsNotHung) {
  Begin(Kind::kAnswer);
  effort_.threads[2].state = 'R';
  Wait([](auto) {}, 30);
  EXPECT_GT(patience_->Next(now_).count(), 0);
}

TEST_F(PatienceTest, TheTimeThatTheWaiterItselfDidNotHaveDoesNotCount) {
  Begin(Kind::kAnswer);
  patience_->Next(now_);
  now_ += seconds(60);
  EXPECT_GT(patience_->Next(now_).count(), 0);
  EXPECT_GE(Wait([](auto) {}), seconds(9));
}

TEST_F(PatienceTest, MayBeAskedAtAnyTime) {
  Begin(Kind::kAnswer);
  patience_->Next(now_);
  for (int i = 0; i < 100; ++i) EXPECT_GT(patience_->Next(now_ + milliseconds(i)).count(), 0);
  EXPECT_NEAR(Wait([](auto) {}).count(), 10000, 100);
}

TEST(FixedPatienceTest, IsATime) {
  const auto now = Patience::Clock::now();
  Patience fixed = milliseconds(1000);
  EXPECT_GT(fixed.Next(now + milliseconds(500)).count(), 0);
  EXPECT_EQ(fixed.Next(now + milliseconds(1500)).count(), 0);
  EXPECT_EQ(fixed.Text(), "within 1 s");
  Patience for_ever = milliseconds(0);
  EXPECT_GT(for_ever.Next(now + std::chrono::hours(24)).count(), 0);
}

Child Shell(const std::string& script) {
  Command command;
  command.argv = {"/bin/sh", "-c", script};
  return Spawn(command).value();
}

TEST(EffortTest, OfARealProcessAndItsChildren) {
  // The inner process ends together with the outer one.
  Child child = Shell("while kill -0 $$; do :; done & wait");
  const auto ran = [&] {
    std::chrono::nanoseconds sum{0};
    for (const auto& [id, thread] : EffortOf({child.pid()}).threads) sum += thread.ran;
    return sum;
  };
  const auto first = ran();
  while (ran() < first + milliseconds(20)) usleep(1000);
  EXPECT_GE(EffortOf({child.pid()}).threads.size(), 2U);
  EXPECT_EQ(EffortOf({-1, 0}).threads.size(), 0U);
}

TEST(AwaitReadableTest, AStoppedProcessMakesNoProgress) {
  Child child = Shell("kill -STOP $$");
  Patience patience = PatienceWith({child.pid()}, milliseconds(300), Kind::kWork);
  EXPECT_FALSE(AwaitReadable(child.pidfd(), patience));
}

TEST(AwaitReadableTest, AProcessThatWorksIsWaitedFor) {
  Child child = Shell("while :; do :; done");
  // Without the child's work the wait would time out after eight samples.
  int looks = 0;
  const Patience::Look look = [&] {
    if (++looks == 20) {
      EXPECT_TRUE(child.Signal(SIGKILL));
    }
    return EffortOf({child.pid()});
  };
  Patience patience(milliseconds(200), Kind::kWork, look, "");
  EXPECT_TRUE(AwaitReadable(child.pidfd(), patience));
}

}  // namespace
}  // namespace kata
