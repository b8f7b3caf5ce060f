// SPDX-License-Identifier: Apache-2.0
#include "fsd/late_requests.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "fsd/vhost_user_fixture.h"

namespace kata::fsd {
namespace {

constexpr uint16_t kRingSize = 8;
constexpr uint64_t kPlace = kGuest + 0x10000;

// Requests that begin with "late" wait until `done`; all are answered with themselves.
class LateRequestsTest : public ::testing::Test {
 protected:
  LateRequestsTest() {
    queue_.SetFeatures(/*indirect=*/true, /*event_index=*/false);
    queue_.SetMemory(std::make_shared<const GuestMemory>(GuestMemory().With(memory_.region(), memory_.file()).value()));
    queue_.SetEnabled(true);
    EXPECT_TRUE(queue_.SetSize(kRingSize));
    EXPECT_TRUE(queue_.SetAddresses(ring_.addresses()));
    queue_.Start();
  }

  // Sends a request and takes it. Whether it was kept.
  bool Send(const std::string& text) {
    memory_.Write(kPlace, text);
    ring_.Add(head_, {{kPlace, static_cast<uint32_t>(text.size()), false}, {kPlace + 512, 64, true}});
    head_ = static_cast<uint16_t>((head_ + 2) % kRingSize);
    bool more = false;
    EXPECT_TRUE(queue_.Take(chain_, /*wanted=*/false, &more));
    return late_.Keep(queue_, chain_);
  }
  void Finish() { queue_.Return(chain_, 0); }

  TestMemory memory_{kGuest, kUser, 1 << 20};
  TestRing ring_{memory_, kGuest, kRingSize};
  Virtqueue queue_{"the test's queue"};
  Chain chain_;
  uint16_t head_ = 0;
  std::atomic<bool> done_ = false;
  LateRequests late_{{.must_wait = [this](auto in) { return TextOf(in).starts_with("late") && !done_; },
                      .answer = [](auto in, auto out) { return Echo(in, out); }}};
};

TEST_F(LateRequestsTest, IsAnsweredLater) {
  EXPECT_FALSE(Send("now"));
  Finish();
  EXPECT_TRUE(ring_.NextUsed());
  EXPECT_TRUE(Send("late 1"));
  EXPECT_FALSE(ring_.NextUsed());
  EXPECT_FALSE(Send("late 2")) << "one is kept already";
  Finish();
  EXPECT_TRUE(ring_.NextUsed());
  late_.Answer();
  const auto used = ring_.NextUsed();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->second, 6U);
  late_.Answer();
  EXPECT_FALSE(ring_.NextUsed());
  done_ = true;
  EXPECT_FALSE(Send("late 3"));
  Finish();
}

TEST_F(LateRequestsTest, AQueueThatStops) {
  EXPECT_TRUE(Send("late 1"));
  late_.Close();
  EXPECT_EQ(queue_.Stop(), 1);
  EXPECT_TRUE(ring_.NextUsed());
  queue_.Start();
  EXPECT_FALSE(Send("late 2"));
  Finish();
  late_.Open();
  EXPECT_TRUE(Send("late 3"));
  late_.Close();
}

// An answer that comes while the request is being kept is not missed.
TEST_F(LateRequestsTest, AtTheSameTime) {
  std::thread other([this] {
    for (int i = 0; i < 20000; ++i) {
      done_ = true;
      late_.Answer();
      done_ = false;
    }
    done_ = true;
    late_.Answer();
  });
  for (int i = 0; i < 5000; ++i) {
    if (!Send("late")) Finish();
    while (!ring_.NextUsed()) std::this_thread::yield();
  }
  other.join();
}

}  // namespace
}  // namespace kata::fsd
