// SPDX-License-Identifier: Apache-2.0
#include "fsd/vhost_user_message.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <thread>

namespace kata::fsd {
namespace {

class MessageTest : public ::testing::Test {
 protected:
  MessageTest() { Connect(); }
  void Connect() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    here_.Reset(pair[0]);
    vmm_.Reset(pair[1]);
  }

  void Send(const void* data, size_t size, std::vector<int> fds = {}) {
    iovec part = {const_cast<void*>(data), size};
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      *header = {CMSG_LEN(fds.size() * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
      memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    ASSERT_EQ(sendmsg(vmm_.get(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(size));
  }
  void SendWords(std::vector<uint32_t> words, std::vector<int> fds = {}) {
    Send(words.data(), words.size() * sizeof words[0], std::move(fds));
  }

  UniqueFd here_;
  UniqueFd vmm_;
  Message message_;
};

TEST_F(MessageTest, ARequestAndItsReply) {
  SendWords({8, 1, 8, 2, 1024});
  ASSERT_TRUE(Receive(here_.get(), message_).value());
  EXPECT_EQ(message_.request, MessageType::kSetVringNum);
  EXPECT_FALSE(message_.need_reply);
  const VringState state = message_.As<VringState>().value();
  EXPECT_EQ(state.index, 2);
  EXPECT_EQ(state.number, 1024);
  EXPECT_FALSE(message_.As<SingleRegion>());
  EXPECT_FALSE(message_.TakeDescriptor());
  ASSERT_TRUE(SendReply(here_.get(), message_.request, uint64_t{7}));
  uint32_t reply[5] = {};
  ASSERT_EQ(recv(vmm_.get(), reply, sizeof reply, MSG_WAITALL), sizeof reply);
  EXPECT_EQ(std::vector<uint32_t>(reply, reply + 5), (std::vector<uint32_t>{8, 5, 8, 7, 0}));
}

TEST_F(MessageTest, DescriptorsComeWithIt) {
  SendWords({12, 1 | 8, 8, 1, 0}, {here_.get()});
  ASSERT_TRUE(Receive(here_.get(), message_).value());
  EXPECT_TRUE(message_.need_reply);
  const auto fd = message_.TakeDescriptor();
  ASSERT_TRUE(fd);
  EXPECT_EQ(fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(MessageTest, APieceAtATime) {
  const uint32_t words[] = {8, 1, 8, 2, 1024};
  std::thread sender([&] {
    for (size_t i = 0; i < sizeof words; ++i) Send(reinterpret_cast<const char*>(words) + i, 1);
  });
  ASSERT_TRUE(Receive(here_.get(), message_).value());
  EXPECT_EQ(message_.As<VringState>().value().number, 1024);
  sender.join();
}

TEST_F(MessageTest, TheEnd) {
  vmm_.Reset();
  EXPECT_FALSE(Receive(here_.get(), message_).value());
}

TEST_F(MessageTest, TheEndInTheMiddle) {
  SendWords({8, 1});
  vmm_.Reset();
  EXPECT_FALSE(Receive(here_.get(), message_).value());
}

TEST_F(MessageTest, TheEndBeforeThePayload) {
  SendWords({8, 1, 8, 2});
  vmm_.Reset();
  EXPECT_FALSE(Receive(here_.get(), message_).value());
}

TEST_F(MessageTest, WhatIsNoMessage) {
  for (const std::vector<uint32_t>& words : std::vector<std::vector<uint32_t>>{
           {1, 0, 0}, {1, 2, 0}, {1, 1 | 4, 0}, {1, 1, sizeof(MemTable) + 1}, {1, 1, UINT32_MAX}}) {
    SendWords(words);
    EXPECT_FALSE(Receive(here_.get(), message_));
  }
}

TEST_F(MessageTest, MoreDescriptorsThanAnyMessageHas) {
  SendWords({12, 1, 0}, std::vector<int>(Message::kMaxDescriptors + 1, here_.get()));
  EXPECT_FALSE(Receive(here_.get(), message_));
}

TEST_F(MessageTest, TablesOfMemory) {
  const auto table = [&](uint32_t count, size_t sent, size_t fds) {
    std::vector<uint32_t> words(3 + 2 + 8 * sent);
    words[0] = 5;
    words[1] = 1;
    words[2] = static_cast<uint32_t>(4 * (words.size() - 3));
    words[3] = count;
    SendWords(words, std::vector<int>(fds, here_.get()));
    EXPECT_TRUE(Receive(here_.get(), message_).value());
    return message_.AsMemTable();
  };
  EXPECT_EQ(table(0, 0, 0).value().count, 0);
  EXPECT_EQ(table(8, 8, 8).value().count, 8);
  EXPECT_FALSE(table(2, 1, 2));
  EXPECT_FALSE(table(1, 2, 1));
  EXPECT_FALSE(table(1, 1, 0));
  EXPECT_FALSE(table(9, 8, 8));
  EXPECT_FALSE(table(UINT32_MAX, 1, 1));
}

TEST_F(MessageTest, AnyBytes) {
  std::mt19937 random(4711);
  for (int round = 0; round < 2000; ++round) {
    Connect();
    std::vector<uint32_t> words(random() % 100);
    for (uint32_t& word : words) word = random() % 4 == 0 ? static_cast<uint32_t>(random()) : random() % 64;
    if (words.empty()) continue;
    SendWords(words);
    vmm_.Reset();
    for (;;) {
      const auto received = Receive(here_.get(), message_);
      if (!received || !*received) break;
      ASSERT_LE(message_.size, message_.payload.size());
      (void)message_.AsMemTable();
    }
  }
}

}  // namespace
}  // namespace kata::fsd
