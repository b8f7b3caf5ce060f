// SPDX-License-Identifier: Apache-2.0
#include "fsd/vhost_user_front_end_fixture.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace kata::fsd {

void TestFrontEnd::SendBytes(uint32_t request, uint32_t flags, const void* payload, size_t size,
                             const std::vector<int>& fds) {
  uint32_t header[] = {request, flags, static_cast<uint32_t>(size)};
  iovec parts[] = {{header, sizeof header}, {const_cast<void*>(payload), size}};
  alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    *CMSG_FIRSTHDR(&message) = {CMSG_LEN(fds.size() * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds.data(), fds.size() * sizeof(int));
  }
  // The device may have ended the connection because of what came before.
  (void)sendmsg(vmm_.get(), &message, MSG_NOSIGNAL);
}

void TestFrontEnd::ReadReply(MessageType request, void* payload, size_t size) {
  uint32_t header[3] = {};
  ASSERT_EQ(recv(vmm_.get(), header, sizeof header, MSG_WAITALL), static_cast<ssize_t>(sizeof header));
  EXPECT_EQ(header[0], static_cast<uint32_t>(request));
  EXPECT_EQ(header[1], 5);
  ASSERT_EQ(header[2], size);
  ASSERT_EQ(recv(vmm_.get(), payload, size, MSG_WAITALL), static_cast<ssize_t>(size));
}

uint64_t TestFrontEnd::Ask(MessageType request) {
  SendBytes(static_cast<uint32_t>(request), 1, nullptr, 0, {});
  return Reply<uint64_t>(request);
}

SingleRegion TestFrontEnd::Single(const TestMemory& memory) {
  const MemoryRegion& region = memory.region();
  return {0, {region.guest_address, region.size, region.user_address, region.file_offset}};
}

void TestFrontEnd::Start(uint32_t index, Queue& queue, uint32_t base) {
  Send(MessageType::kSetVringNum, VringState{index, kSize});
  Send(MessageType::kSetVringBase, VringState{index, base});
  const Virtqueue::Addresses addresses = queue.ring.addresses();
  Send(MessageType::kSetVringAddr,
       VringAddresses{index, 0, addresses.descriptors, addresses.used, addresses.available, 0});
  Send(MessageType::kSetVringKick, uint64_t{index}, {queue.kick.get()});
  Send(MessageType::kSetVringCall, uint64_t{index}, {queue.call.get()});
  EXPECT_TRUE(Acknowledged(MessageType::kSetVringEnable, VringState{index, 1}));
}

uint32_t TestFrontEnd::Stop(uint32_t index) {
  Send(MessageType::kGetVringBase, VringState{index, 0});
  const auto state = Reply<VringState>(MessageType::kGetVringBase);
  EXPECT_EQ(state.index, index);
  return state.number;
}

void TestFrontEnd::Set() {
  EXPECT_EQ(Ask(MessageType::kGetFeatures), kFeatures);
  EXPECT_EQ(Ask(MessageType::kGetProtocolFeatures), (1U << 0) | (1U << 3) | (1U << 15));
  Send(MessageType::kSetProtocolFeatures, (uint64_t{1} << 0) | kReplyAck | (1U << 15));
  SendBytes(static_cast<uint32_t>(MessageType::kSetOwner), 1, nullptr, 0, {});
  Send(MessageType::kSetFeatures, kFeatures);
  EXPECT_TRUE(Acknowledged(MessageType::kAddMemReg, Single(memory_), {memory_.file()}));
  Start(kFirst, first_);
  Start(kRequests, requests_);
}

void TestFrontEnd::Kick(Queue& queue) {
  const uint64_t one = 1;
  EXPECT_EQ(write(queue.kick.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

uint64_t TestFrontEnd::Add(Queue& queue, const std::string& text, uint64_t place) {
  const uint16_t head = queue.next;
  queue.next = static_cast<uint16_t>((queue.next + 2) % kSize);
  if (place == 0) place = kData + (&queue == &first_ ? 0x10000 : 0) + 2 * kRoom * head;
  const TestMemory& memory = MemoryAt(place);
  memory.Write(place, text);
  memset(memory.At(place + kRoom), 0, kRoom);
  queue.ring.SetUsedEvent(queue.ring.used_index());
  queue.ring.Add(head, {{place, static_cast<uint32_t>(text.size())}, {place + kRoom, kRoom, true}});
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (queue.ring.available_event() == static_cast<uint16_t>(queue.ring.available_index() - 1)) Kick(queue);
  return place + kRoom;
}

uint32_t TestFrontEnd::Await(Queue& queue) {
  for (;;) {
    if (const auto used = queue.ring.NextUsed()) return used->second;
    queue.ring.SetUsedEvent(queue.ring.used_index());
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (const auto used = queue.ring.NextUsed()) return used->second;
    pollfd event = {queue.call.get(), POLLIN, 0};
    if (poll(&event, 1, kDeadline) != 1) {
      ADD_FAILURE() << "no request comes back";
      return 0;
    }
    uint64_t count = 0;
    (void)!read(queue.call.get(), &count, sizeof count);
  }
}

void TestFrontEnd::Talk(Queue& queue, const std::string& text, uint64_t place) {
  const uint64_t reply = Add(queue, text, place);
  EXPECT_EQ(Await(queue), text.size());
  EXPECT_EQ(MemoryAt(reply).Read(reply, text.size()), text);
}

}  // namespace kata::fsd
