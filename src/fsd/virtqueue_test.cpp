// SPDX-License-Identifier: Apache-2.0
#include "fsd/virtqueue.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "base/log.h"
#include "fsd/vhost_user_fixture.h"
#include "fsd/virtqueue_layout.h"

namespace kata::fsd {
namespace {

constexpr uint16_t kElements = 8;
constexpr uint64_t kBuffer = kGuest + 0x10000;  // for buffers
constexpr uint64_t kTable = kGuest + 0x20000;   // for indirect tables
constexpr uint64_t kNowhere = kGuest + (1 << 20);

bool Happened(const UniqueFd& event) {
  uint64_t count = 0;
  return read(event.get(), &count, sizeof count) == sizeof count;
}

UniqueFd Copy(const UniqueFd& fd) { return UniqueFd(dup(fd.get())); }

class VirtqueueTest : public ::testing::Test {
 protected:
  VirtqueueTest() {
    table_ = std::make_shared<const GuestMemory>(GuestMemory().With(memory_.region(), memory_.file()).value());
    queue_.SetFeatures(/*indirect=*/true, /*event_index=*/false);
    queue_.SetMemory(table_);
    queue_.SetEnabled(true);
    EXPECT_TRUE(queue_.SetSize(kElements));
    EXPECT_TRUE(queue_.SetAddresses(ring_.addresses()));
    queue_.SetCall(Copy(call_));
    queue_.SetError(Copy(error_));
    queue_.Start();
  }

  bool Take() { return queue_.Take(chain_, /*wanted=*/false, &more_); }
  // Whether what is in the ring breaks the queue.
  bool Breaks() {
    const bool taken = Take();
    EXPECT_FALSE(taken && queue_.broken());
    return queue_.broken() && Happened(error_) && !Take();
  }

  TestMemory memory_{kGuest, kUser, 1 << 20};
  TestRing ring_{memory_, kGuest, kElements};
  UniqueFd call_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  UniqueFd error_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::shared_ptr<const GuestMemory> table_;
  Virtqueue queue_{"the test's queue"};
  Chain chain_;
  bool more_ = false;
};

TEST_F(VirtqueueTest, ARequestAndItsReply) {
  EXPECT_FALSE(Take());
  memory_.Write(kBuffer, "questions");
  ring_.Add(3, {{kBuffer, 5}, {kBuffer + 5, 4}, {kBuffer + 100, 10, true}, {kBuffer + 200, 20, true}});
  ASSERT_TRUE(Take());
  EXPECT_EQ(TextOf(chain_.readable), "questions");
  ASSERT_EQ(chain_.writable.size(), 2);
  EXPECT_EQ(chain_.writable[0].iov_base, table_->AtGuest(kBuffer + 100, 10));
  EXPECT_EQ(chain_.writable[1].iov_len, 20);
  EXPECT_FALSE(Take());
  EXPECT_FALSE(Happened(call_));
  queue_.Return(chain_, 12);
  EXPECT_EQ(ring_.NextUsed(), std::pair(3U, 12U));
  EXPECT_TRUE(Happened(call_));
  EXPECT_EQ(chain_.memory, nullptr);
}

TEST_F(VirtqueueTest, AnIndirectTable) {
  memory_.Write(kBuffer, "abc");
  ring_.AddIndirect(1, kTable, {{kBuffer, 1}, {kBuffer + 1, 2}, {kBuffer + 10, 7, true}});
  ASSERT_TRUE(Take());
  EXPECT_EQ(TextOf(chain_.readable), "abc");
  EXPECT_EQ(chain_.writable.size(), 1);
  // As the end of a chain, virtio allows it, too.
  ring_.Describe(2, kBuffer, 1, VRING_DESC_F_NEXT, 1);
  ring_.Publish(2);
  ASSERT_TRUE(Take());
  EXPECT_EQ(TextOf(chain_.readable), "aabc");
}

TEST_F(VirtqueueTest, BuffersOfNoLength) {
  memory_.Write(kBuffer, "x");
  ring_.Add(0, {{kNowhere, 0}, {kBuffer, 1}, {kNowhere, 0, true}, {kBuffer, 0, true}});
  ASSERT_TRUE(Take());
  EXPECT_EQ(TextOf(chain_.readable), "x");
  EXPECT_TRUE(chain_.writable.empty());
}

TEST_F(VirtqueueTest, AsManyDescriptorsAsTheRingHas) {
  ring_.Add(0, std::vector<TestRing::Buffer>(kElements, {kBuffer, 1}));
  ASSERT_TRUE(Take());
  EXPECT_EQ(chain_.readable.size(), kElements);
  ring_.AddIndirect(0, kTable, std::vector<TestRing::Buffer>(kElements, {kBuffer, 1}));
  ASSERT_TRUE(Take());
  EXPECT_EQ(chain_.readable.size(), kElements);
}

TEST_F(VirtqueueTest, RequestsGoOnAfterTheIndicesWrap) {
  queue_.Stop();
  ASSERT_TRUE(queue_.SetBase(65533));
  ring_.SetAvailableIndex(65533);
  queue_.Start();
  for (uint16_t i = 0; i < 100; ++i) {
    ring_.Add(i % kElements, {{kBuffer, 1}});
    ASSERT_TRUE(Take());
    queue_.Return(chain_, i);
    ASSERT_EQ(ring_.NextUsed(), std::pair(i % kElements + 0U, i + 0U));
  }
  EXPECT_EQ(queue_.Stop(), static_cast<uint16_t>(65533 + 100));
}

TEST_F(VirtqueueTest, RepliesInAnyOrder) {
  ring_.Add(0, {{kBuffer, 1}});
  ring_.Add(1, {{kBuffer, 1}});
  ASSERT_TRUE(Take());
  Chain other;
  ASSERT_TRUE(queue_.Take(other, false, &more_));
  queue_.Return(other, 1);
  queue_.Return(chain_, 0);
  EXPECT_EQ(ring_.NextUsed(), std::pair(1U, 1U));
  EXPECT_EQ(ring_.NextUsed(), std::pair(0U, 0U));
}

TEST_F(VirtqueueTest, NoInterruptThatIsNotWanted) {
  ring_.SetAvailableFlags(VRING_AVAIL_F_NO_INTERRUPT);
  ring_.Add(0, {{kBuffer, 1}});
  ASSERT_TRUE(Take());
  queue_.Return(chain_, 0);
  EXPECT_FALSE(Happened(call_));
}

TEST_F(VirtqueueTest, InterruptsByIndex) {
  queue_.SetFeatures(true, /*event_index=*/true);
  ring_.SetUsedEvent(2);
  for (uint16_t i = 0; i < 5; ++i) {
    ring_.Add(i, {{kBuffer, 1}});
    ASSERT_TRUE(Take());
    queue_.Return(chain_, 0);
    EXPECT_EQ(Happened(call_), i == 2) << i;
  }
}

TEST_F(VirtqueueTest, NotificationsByIndex) {
  queue_.SetFeatures(true, /*event_index=*/true);
  for (uint16_t i = 0; i < 3; ++i) ring_.Add(i, {{kBuffer, 1}});
  EXPECT_TRUE(queue_.AskForNotification()) << "there are some already";
  ASSERT_TRUE(Take());
  EXPECT_EQ(ring_.available_event(), 0) << "nobody waits";
  ASSERT_TRUE(queue_.Take(chain_, /*wanted=*/true, &more_));
  EXPECT_TRUE(more_);
  EXPECT_EQ(ring_.available_event(), 2);
  ASSERT_TRUE(queue_.Take(chain_, /*wanted=*/true, &more_));
  EXPECT_FALSE(more_);
  EXPECT_EQ(ring_.available_event(), 3);
  EXPECT_FALSE(queue_.AskForNotification());
}

TEST_F(VirtqueueTest, NothingIsTakenFromAQueueThatIsDisabledOrStopped) {
  ring_.Add(0, {{kBuffer, 1}});
  queue_.SetEnabled(false);
  EXPECT_FALSE(Take());
  EXPECT_FALSE(queue_.AskForNotification());
  queue_.SetEnabled(true);
  EXPECT_EQ(queue_.Stop(), 0);
  EXPECT_FALSE(Take());
  queue_.Start();
  EXPECT_TRUE(Take());
}

TEST_F(VirtqueueTest, StopWaitsForWhatWasTaken) {
  ring_.Add(0, {{kBuffer, 1}});
  ring_.Add(1, {{kBuffer, 1}});
  ASSERT_TRUE(Take());
  std::atomic<bool> stopped = false;
  uint16_t base = 0;
  std::thread stop([&] {
    base = queue_.Stop();
    stopped = true;
  });
  Chain other;
  // Until it stops, the second one can be taken; then not.
  bool second = queue_.Take(other, false, &more_);
  EXPECT_FALSE(stopped);
  queue_.Return(chain_, 5);
  if (second) queue_.Return(other, 6);
  stop.join();
  EXPECT_EQ(base, second ? 2 : 1);
  EXPECT_EQ(ring_.NextUsed(), std::pair(0U, 5U)) << "what was taken is returned";
}

TEST_F(VirtqueueTest, MemoryThatIsRemovedWhileARequestUsesIt) {
  const TestMemory extra(16 << 20, kUser + (16 << 20), 1 << 20);
  extra.Write(16 << 20, "extra");
  queue_.SetMemory(std::make_shared<const GuestMemory>(table_->With(extra.region(), extra.file()).value()));
  ring_.Add(0, {{16 << 20, 5}});
  ring_.Add(1, {{16 << 20, 5}});
  ASSERT_TRUE(Take());
  queue_.SetMemory(table_);
  EXPECT_EQ(TextOf(chain_.readable), "extra");
  queue_.Return(chain_, 0);
  EXPECT_EQ(ring_.NextUsed(), std::pair(0U, 0U));
  EXPECT_TRUE(Breaks()) << "the second request has no memory any more";
}

TEST_F(VirtqueueTest, ARingWhoseMemoryIsRemoved) {
  ring_.Add(0, {{kBuffer, 1}});
  ASSERT_TRUE(Take());
  queue_.SetMemory(std::make_shared<const GuestMemory>());
  EXPECT_TRUE(queue_.broken());
  queue_.Return(chain_, 0);
  EXPECT_EQ(ring_.used_index(), 0);
  queue_.SetMemory(table_);
  EXPECT_FALSE(Take());
}

TEST_F(VirtqueueTest, RingsThatAreNotThere) {
  const auto broken = [&](Virtqueue::Addresses addresses) {
    queue_.Stop();
    EXPECT_TRUE(queue_.SetAddresses(addresses));
    queue_.Start();
    return queue_.broken();
  };
  const Virtqueue::Addresses good = ring_.addresses();
  EXPECT_FALSE(broken(good));
  for (uint64_t Virtqueue::Addresses::*part :
       {&Virtqueue::Addresses::descriptors, &Virtqueue::Addresses::available, &Virtqueue::Addresses::used}) {
    for (const uint64_t address :
         {uint64_t{0}, UINT64_MAX, kUser + (1 << 20), kUser + (1 << 20) - 16, good.*part + 1}) {
      Virtqueue::Addresses bad = good;
      bad.*part = address;
      EXPECT_TRUE(broken(bad)) << address;
    }
  }
  EXPECT_FALSE(broken(good)) << "a new start mends it";
}

TEST_F(VirtqueueTest, SettingsThatAreRefused) {
  EXPECT_FALSE(queue_.SetSize(16)) << "it runs";
  EXPECT_FALSE(queue_.SetBase(0)) << "it runs";
  queue_.Stop();
  for (const uint32_t size : {0U, 3U, 65536U, UINT32_MAX}) EXPECT_FALSE(queue_.SetSize(size)) << size;
  EXPECT_FALSE(queue_.SetBase(65536));
  EXPECT_TRUE(queue_.SetSize(Virtqueue::kMaxSize));
}

TEST_F(VirtqueueTest, AHeadOutsideOfTheTable) {
  ring_.Publish(kElements);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, MoreRequestsThanTheRingHas) {
  ring_.SetAvailableIndex(kElements + 1);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, AChainThatLeavesTheTable) {
  ring_.Describe(0, kBuffer, 1, VRING_DESC_F_NEXT, kElements);
  ring_.Publish(0);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, ALoop) {
  ring_.Describe(0, kBuffer, 1, VRING_DESC_F_NEXT, 1);
  ring_.Describe(1, kBuffer, 1, VRING_DESC_F_NEXT, 0);
  ring_.Publish(0);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, ALoopOfNothing) {
  ring_.Describe(0, kBuffer, 0, VRING_DESC_F_NEXT, 0);
  ring_.Publish(0);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, AnIndirectTableInAnIndirectTable) {
  ring_.AddIndirect(0, kTable, {{kBuffer, 1}});
  const vring_desc inner = {kTable, 16, VRING_DESC_F_INDIRECT, 0};
  memcpy(memory_.At(kTable), &inner, sizeof inner);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, AnIndirectTableWithASuccessor) {
  ring_.AddIndirect(0, kTable, {{kBuffer, 1}});
  ring_.Describe(0, kTable, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, IndirectTablesOfBadSizes) {
  for (const uint32_t length : {0U, 15U, 17U, 16U * (kElements + 1), UINT32_MAX, UINT32_MAX - 15}) {
    queue_.Stop();
    ASSERT_TRUE(queue_.SetBase(ring_.available_index()));
    queue_.Start();
    ring_.Describe(0, kTable, length, VRING_DESC_F_INDIRECT, 0);
    ring_.Publish(0);
    EXPECT_TRUE(Breaks()) << length;
  }
}

TEST_F(VirtqueueTest, AnIndirectTableThatIsNotInMemory) {
  ring_.Describe(0, kNowhere - 16, 32, VRING_DESC_F_INDIRECT, 0);
  ring_.Publish(0);
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, AnIndirectTableThatWasNotAgreedUpon) {
  queue_.SetFeatures(/*indirect=*/false, false);
  ring_.AddIndirect(0, kTable, {{kBuffer, 1}});
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, ABufferToReadAfterOneToWrite) {
  ring_.Add(0, {{kBuffer, 1, true}, {kBuffer, 1}});
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, ABufferThatIsNotInMemory) {
  ring_.Add(0, {{kNowhere - 1, 2}});
  EXPECT_TRUE(Breaks());
}

TEST_F(VirtqueueTest, ABufferOverTheEndOfTheAddresses) {
  ring_.Add(0, {{UINT64_MAX, UINT32_MAX, true}});
  EXPECT_TRUE(Breaks());
}

// Any ring leads to requests with buffers in the guest's memory, or to a broken queue.
TEST_F(VirtqueueTest, AnythingInTheRing) {
  log::SetLevel(log::Level::kError);
  std::mt19937_64 random(4711);
  queue_.SetFeatures(true, /*event_index=*/true);
  size_t taken = 0;
  for (int round = 0; round < 20000; ++round) {
    queue_.Stop();
    ASSERT_TRUE(queue_.SetBase(ring_.available_index()));
    queue_.Start();
    const auto address = [&] { return random() % 8 == 0 ? random() : kGuest + random() % (1 << 20); };
    const auto describe = [&](uint64_t place) {
      vring_desc descriptor = {address(), static_cast<uint32_t>(random() % 4096), static_cast<uint16_t>(random() % 8),
                               static_cast<uint16_t>(random() % (kElements + 1))};
      if (random() % 16 == 0) descriptor.len = static_cast<uint32_t>(random());
      if ((descriptor.flags & VRING_DESC_F_INDIRECT) != 0 && random() % 4 != 0) {
        descriptor = {kTable, static_cast<uint32_t>(16 * (random() % (kElements + 2))), VRING_DESC_F_INDIRECT, 0};
      }
      memcpy(memory_.At(place), &descriptor, sizeof descriptor);
    };
    for (uint16_t i = 0; i < kElements; ++i) describe(kGuest + 16 * i);
    for (uint16_t i = 0; i < kElements; ++i) describe(kTable + 16 * i);
    for (uint64_t count = random() % 4; count > 0; --count) ring_.Publish(random() % (kElements + 1));
    if (random() % 32 == 0) ring_.SetAvailableIndex(static_cast<uint16_t>(random()));
    while (Take()) {
      ++taken;
      for (const auto* list : {&chain_.readable, &chain_.writable}) {
        for (const iovec& buffer : *list) {
          const auto* start = table_->AtGuest(kGuest, 1 << 20);
          ASSERT_GE(static_cast<std::byte*>(buffer.iov_base), start);
          ASSERT_LE(static_cast<std::byte*>(buffer.iov_base) + buffer.iov_len, start + (1 << 20));
        }
      }
      queue_.Return(chain_, 1);
    }
  }
  EXPECT_GT(taken, 1000);
  log::SetLevel(log::Level::kInfo);
}

}  // namespace
}  // namespace kata::fsd
