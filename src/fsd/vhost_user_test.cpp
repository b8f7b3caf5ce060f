// SPDX-License-Identifier: Apache-2.0
#include "fsd/vhost_user.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <random>
#include <thread>

#include "base/log.h"
#include "fsd/vhost_user_fixture.h"
#include "fsd/vhost_user_front_end_fixture.h"
#include "fsd/virtqueue_layout.h"

namespace kata::fsd {
namespace {

// Requests that begin with "wait NAME" are handled when Open(NAME) is called; all are answered with themselves.
class Gate {
 public:
  size_t Handle(std::span<const iovec> in, std::span<const iovec> out) {
    const std::string text = TextOf(in);
    if (text == "forget") return 0;
    std::unique_lock lock(mutex_);
    if (text.starts_with("wait ")) {
      ++waiting_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return open_[text.substr(5)]; });
      --waiting_;
    }
    return Echo(in, out);
  }
  void Open(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    open_[name] = true;
    changed_.notify_all();
  }
  void AwaitWaiting(unsigned count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ == count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, bool> open_;
  unsigned waiting_ = 0;
};

class VhostUserTest : public ::testing::Test, protected TestFrontEnd {
 protected:
  VhostUserTest() {
    VhostUser::Options options;
    options.handler = [this](auto in, auto out) { return gate_.Handle(in, out); };
    options.memory = [this](uint64_t bytes) { size_ = bytes; };
    device_ = VhostUser::Create(std::move(options)).value();
    Connect();
  }
  ~VhostUserTest() override { Disconnect(); }

  void Connect() {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    vmm_.Reset(pair[1]);
    serving_ = std::thread([this, end = pair[0]] { result_ = device_->Serve(UniqueFd(end)); });
  }
  Result<> Disconnect() {
    vmm_.Reset();
    if (serving_.joinable()) serving_.join();
    return result_;
  }

  Gate gate_;
  std::atomic<uint64_t> size_ = 0;  // of the guest's memory, as the device was told
  std::unique_ptr<VhostUser> device_;
  std::thread serving_;
  Result<> result_;
};

TEST_F(VhostUserTest, RequestsAndReplies) {
  Set();
  EXPECT_EQ(Ask(MessageType::kGetQueueNum), VhostUser::kQueues);
  EXPECT_EQ(Ask(MessageType::kGetMaxMemSlots), GuestMemory::kMaxRegions);
  for (int i = 0; i < 1000; ++i) Talk(requests_, "request " + std::to_string(i));
  Talk(first_, "urgent");
  Add(first_, "forget");
  EXPECT_EQ(Await(first_), 0) << "comes back without a reply";
  EXPECT_TRUE(Disconnect());
}

TEST_F(VhostUserTest, ManyRequestsAtOnce) {
  Set();
  for (int round = 0; round < 500; ++round) {
    for (int i = 0; i < kSize / 2; ++i) Add(requests_, "many");
    for (int i = 0; i < kSize / 2; ++i) ASSERT_EQ(Await(requests_), 4);
  }
}

TEST_F(VhostUserTest, ASlowRequestDoesNotBlockOthers) {
  Set();
  Add(requests_, "wait slow");
  gate_.AwaitWaiting(1);
  for (int i = 0; i < 100; ++i) {
    Add(requests_, "quick");
    ASSERT_EQ(Await(requests_), 5);
    // The descriptors of the slow one are in use.
    if (requests_.next == 0) requests_.next = 2;
  }
  gate_.Open("slow");
  EXPECT_EQ(Await(requests_), 9);
}

TEST_F(VhostUserTest, RequestsThatComeWithASlowOneDoNotWaitForIt) {
  Set();
  // One notification for both.
  memory_.Write(kData, "wait slow");
  memory_.Write(kData + 256, "quick");
  requests_.ring.SetUsedEvent(0);
  requests_.ring.Add(0, {{kData, 9}, {kData + 512, 128, true}});
  requests_.ring.Add(2, {{kData + 256, 5}, {kData + 384, 128, true}});
  Kick(requests_);
  EXPECT_EQ(Await(requests_), 5);
  gate_.Open("slow");
  EXPECT_EQ(Await(requests_), 9);
}

TEST_F(VhostUserTest, HighPriorityWhileAllAreBusy) {
  Set();
  Add(requests_, "wait a");
  Add(requests_, "wait b");
  gate_.AwaitWaiting(2);
  Talk(first_, "interrupt");
  gate_.Open("a");
  gate_.Open("b");
  EXPECT_EQ(Await(requests_), 6);
  EXPECT_EQ(Await(requests_), 6);
}

TEST_F(VhostUserTest, HighPriorityGoesFirstWithoutANotification) {
  Set();
  constexpr uint64_t kForget = kData + 0x20000;  // where no other request is
  for (uint16_t round = 0; round < 100; ++round) {
    memory_.Write(kForget, "forget");
    first_.ring.SetUsedEvent(round);
    first_.ring.Add(0, {{kForget, 6}});
    Talk(requests_, "after it");
    EXPECT_EQ(Await(first_), 0);
  }
}

TEST_F(VhostUserTest, MoreThreadsComeWhenAllWait) {
  Set();
  for (const char* name : {"a", "b", "c"}) {
    Add(requests_, fmt::format("wait {}", name));
  }
  gate_.AwaitWaiting(3);
  for (int i = 0; i < 10; ++i) {
    // The descriptors of the others are in use.
    requests_.next = 6;
    Add(requests_, "quick");
    ASSERT_EQ(Await(requests_), 5);
  }
  for (const char* name : {"a", "b", "c"}) gate_.Open(name);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Await(requests_), 6);
}

TEST_F(VhostUserTest, MemoryThatIsAddedAndRemoved) {
  Set();
  extra_ = std::make_unique<TestMemory>(kExtra, kUser + kExtra, 1 << 20);
  const uint64_t before = size_;
  EXPECT_GT(before, 0U);
  EXPECT_TRUE(Acknowledged(MessageType::kAddMemReg, Single(*extra_), {extra_->file()}));
  EXPECT_EQ(size_, before + (1U << 20U));
  EXPECT_FALSE(Acknowledged(MessageType::kAddMemReg, Single(*extra_), {extra_->file()})) << "it is there already";
  Talk(requests_, "in new memory", kExtra);
  // It is removed while a request uses it.
  const uint64_t reply = Add(requests_, "wait long", kExtra + 4096);
  gate_.AwaitWaiting(1);
  EXPECT_TRUE(Acknowledged(MessageType::kRemMemReg, Single(*extra_), {extra_->file()}));
  EXPECT_EQ(size_, before);
  EXPECT_FALSE(Acknowledged(MessageType::kRemMemReg, Single(*extra_)));
  gate_.Open("long");
  EXPECT_EQ(Await(requests_), 9);
  EXPECT_EQ(extra_->Read(reply, 9), "wait long");
  Talk(requests_, "in old memory");
}

TEST_F(VhostUserTest, ATableOfMemory) {
  Set();
  extra_ = std::make_unique<TestMemory>(kExtra, kUser + kExtra, 1 << 20);
  MemTable table = {2, 0, {Single(memory_).region, Single(*extra_).region}};
  SendBytes(static_cast<uint32_t>(MessageType::kSetMemTable), 1, &table, 8 + 2 * 32, {memory_.file(), extra_->file()});
  EXPECT_EQ(Ask(MessageType::kGetQueueNum), VhostUser::kQueues);
  Talk(requests_, "new", kExtra);
  Talk(requests_, "old");
}

TEST_F(VhostUserTest, QueuesThatAreStoppedAndStarted) {
  Set();
  for (uint32_t round = 1; round < 50; ++round) {
    Talk(requests_, "before");
    Add(requests_, "wait for stop " + std::to_string(round));
    gate_.AwaitWaiting(1);
    // It stops when the request has been handled, whose reply is there then.
    Send(MessageType::kGetVringBase, VringState{kRequests, 0});
    gate_.Open("for stop " + std::to_string(round));
    EXPECT_EQ(Reply<VringState>(MessageType::kGetVringBase).number, round * 3 - 1);
    ASSERT_TRUE(requests_.ring.NextUsed());
    // Nobody takes this one, whose notification is lost, before the queue is started.
    const uint64_t reply = Add(requests_, "asleep");
    uint64_t count = 0;
    (void)!read(requests_.kick.get(), &count, sizeof count);
    EXPECT_FALSE(requests_.ring.NextUsed());
    Start(kRequests, requests_, round * 3 - 1);
    EXPECT_EQ(Await(requests_), 6);
    EXPECT_EQ(memory_.Read(reply, 6), "asleep");
  }
}

TEST_F(VhostUserTest, AQueueThatIsDisabled) {
  Set();
  EXPECT_TRUE(Acknowledged(MessageType::kSetVringEnable, VringState{kRequests, 0}));
  Add(requests_, "text");
  Kick(requests_);
  Talk(first_, "meanwhile");
  EXPECT_FALSE(requests_.ring.NextUsed());
  EXPECT_TRUE(Acknowledged(MessageType::kSetVringEnable, VringState{kRequests, 1}));
  EXPECT_EQ(Await(requests_), 4);
}

TEST_F(VhostUserTest, ABrokenQueueIsTheGuestsAffair) {
  log::SetLevel(log::Level::kError);
  Set();
  const UniqueFd error(eventfd(0, EFD_CLOEXEC));
  EXPECT_TRUE(Acknowledged(MessageType::kSetVringErr, uint64_t{kRequests}, {error.get()}));
  requests_.ring.Publish(kSize);
  Kick(requests_);
  pollfd told = {error.get(), POLLIN, 0};
  EXPECT_EQ(poll(&told, 1, kDeadline), 1);
  Talk(first_, "still there");
  EXPECT_EQ(Stop(kRequests), 0);
  requests_.ring.SetAvailableIndex(0);
  Start(kRequests, requests_);
  Talk(requests_, "there again");
  log::SetLevel(log::Level::kInfo);
}

TEST_F(VhostUserTest, RefusedAndToldSo) {
  log::SetLevel(log::Level::kError);
  Set();
  EXPECT_FALSE(Acknowledged(MessageType::kSetFeatures, kFeatures | 1));
  EXPECT_FALSE(Acknowledged(MessageType::kSetProtocolFeatures, uint64_t{1} << 9));
  EXPECT_FALSE(Acknowledged(MessageType::kSetVringNum, VringState{99, 16}));
  EXPECT_FALSE(Acknowledged(MessageType::kSetVringNum, VringState{kRequests, 16})) << "it runs";
  EXPECT_FALSE(Acknowledged(MessageType::kSetVringBase, VringState{kRequests, 16})) << "it runs";
  EXPECT_FALSE(Acknowledged(MessageType::kSetVringKick, uint64_t{kRequests | 0x100})) << "polling";
  EXPECT_FALSE(Acknowledged(MessageType::kSetVringKick, uint64_t{kRequests})) << "no descriptor";
  EXPECT_FALSE(Acknowledged(MessageType::kSetVringKick, uint64_t{kRequests}, {memory_.file()})) << "no event";
  EXPECT_FALSE(Acknowledged(MessageType::kSetVringCall, uint64_t{77}, {memory_.file()}));
  EXPECT_FALSE(Acknowledged(MessageType::kAddMemReg, Single(memory_), {vmm_.get()}));
  EXPECT_FALSE(Acknowledged(static_cast<MessageType>(24), uint64_t{0})) << "GET_CONFIG";
  EXPECT_FALSE(Acknowledged(static_cast<MessageType>(4711), uint64_t{0}));
  Talk(requests_, "still there");
  log::SetLevel(log::Level::kInfo);
}

TEST_F(VhostUserTest, RefusedWithoutAWay) {
  Send(MessageType::kSetVringNum, VringState{99, 16});
  serving_.join();
  EXPECT_FALSE(result_);
  EXPECT_NE(result_.error().message().find("request 8 of the VMM"), std::string::npos) << result_.error().message();
}

TEST_F(VhostUserTest, TheVmmLeavesDuringARequest) {
  Set();
  Add(requests_, "wait end");
  gate_.AwaitWaiting(1);
  vmm_.Reset();
  gate_.Open("end");
  EXPECT_TRUE(Disconnect());
  EXPECT_EQ(Await(requests_), 8);
}

// Whatever a VMM says, the device goes on or ends, and can serve the next one.
TEST_F(VhostUserTest, AnythingFromTheVmm) {
  log::SetLevel(log::Level::kError);
  std::mt19937_64 random(4711);
  ASSERT_TRUE(Disconnect());
  const UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  for (int round = 0; round < 300; ++round) {
    Connect();
    Send(MessageType::kSetProtocolFeatures, kReplyAck | (1U << 15));
    for (int i = 0; i < 60; ++i) {
      const uint32_t index = random() % 8;
      const uint64_t number = random() % 4 == 0 ? random() : random() % 4096;
      const uint64_t place = random() % 3 == 0 ? random() : kUser + random() % (1 << 20) / 16 * 16;
      std::vector<int> fds(random() % 3, random() % 2 == 0 ? event.get() : memory_.file());
      uint64_t words[33] = {index | (number << 32), place, kUser, kUser + 0x1000, kGuest, number};
      size_t size = 8 * (random() % 6);
      auto request = static_cast<uint32_t>(1 + random() % 40);
      switch (random() % 4) {
        case 0:
          request = static_cast<uint32_t>(MessageType::kAddMemReg);
          size = 40;
          words[1] = kGuest;
          words[2] = random() % 2 == 0 ? (1 << 20) : number;
          words[3] = kUser;
          words[4] = random() % 2 == 0 ? 0 : number;
          break;
        case 1:
          request = 8 + random() % 7;
          size = request == 9 ? 40 : 8;
          break;
        default:
          break;
      }
      // Without a need of a reply an error would end it; each fourth one is such.
      SendBytes(request, random() % 4 == 0 ? 1 : 1 | 8, words, size, fds);
    }
    memory_.At(kGuest)[random() % (1 << 20)] = static_cast<char>(random());
    (void)Disconnect();
  }
  gate_.Open("");
  result_ = {};
  for (uint16_t* index : {&first_.next, &requests_.next}) *index = 0;
  memset(memory_.At(kGuest), 0, 1 << 20);
  Connect();
  Set();
  Talk(requests_, "still there");
  log::SetLevel(log::Level::kInfo);
}

}  // namespace
}  // namespace kata::fsd
