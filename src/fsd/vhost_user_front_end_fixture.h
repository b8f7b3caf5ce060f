// SPDX-License-Identifier: Apache-2.0
// A VMM with a guest by hand: the front end of vhost-user, and a driver with one queue of each kind.
#pragma once

#include <sys/eventfd.h>

#include <memory>
#include <string>
#include <vector>

#include "fsd/vhost_user_fixture.h"
#include "fsd/vhost_user_message.h"

namespace kata::fsd {

class TestFrontEnd {
 public:
  static constexpr int kDeadline = 20000;       // ms; reached only in a failure
  static constexpr uint64_t kExtra = 64 << 20;  // where more memory is added
  static constexpr uint64_t kData = kGuest + 0x40000;
  static constexpr uint64_t kRoom = 512;  // for a request, and behind it for its reply
  static constexpr uint16_t kSize = 16;
  static constexpr uint32_t kFirst = 0;  // the queue for requests of high priority
  static constexpr uint32_t kRequests = 1;
  static constexpr uint64_t kReplyAck = 1 << 3;
  static constexpr uint64_t kFeatures = (uint64_t{1} << 32) | (1 << 30) | (1 << 29) | (1 << 28);

  // A queue, and how it is spoken of.
  struct Queue {
    TestRing ring;
    UniqueFd kick{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    UniqueFd call{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    uint16_t next = 0;  // the next descriptor
  };

  void SendBytes(uint32_t request, uint32_t flags, const void* payload, size_t size, const std::vector<int>& fds);
  template <typename T>
  void Send(MessageType request, const T& payload, const std::vector<int>& fds = {}, uint32_t flags = 1) {
    SendBytes(static_cast<uint32_t>(request), flags, &payload, sizeof payload, fds);
  }
  // The reply to the request that was sent last.
  template <typename T>
  T Reply(MessageType request) {
    T payload = {};
    ReadReply(request, &payload, sizeof payload);
    return payload;
  }
  // A request without a payload, and a number as the reply.
  uint64_t Ask(MessageType request);
  // Whether the device has accepted it.
  template <typename T>
  bool Acknowledged(MessageType request, const T& payload, const std::vector<int>& fds = {}) {
    Send(request, payload, fds, 1 | 8);
    return Reply<uint64_t>(request) == 0;
  }

  static SingleRegion Single(const TestMemory& memory);
  // Starts a queue, in QEMU's order.
  void Start(uint32_t index, Queue& queue, uint32_t base = 0);
  uint32_t Stop(uint32_t index);
  // All that comes before requests.
  void Set();

  static void Kick(Queue& queue);
  // Adds a request, as a driver that reads event indices does: returns where the reply will be.
  uint64_t Add(Queue& queue, const std::string& text, uint64_t place = 0);
  // The next request that comes back; its bytes.
  static uint32_t Await(Queue& queue);
  // A request whose reply is itself.
  void Talk(Queue& queue, const std::string& text, uint64_t place = 0);

  UniqueFd vmm_;
  TestMemory memory_{kGuest, kUser, 1 << 20};
  std::unique_ptr<TestMemory> extra_;
  Queue first_{TestRing(memory_, kGuest, kSize)};
  Queue requests_{TestRing(memory_, kGuest + 0x1000, kSize)};

 private:
  void ReadReply(MessageType request, void* payload, size_t size);
  const TestMemory& MemoryAt(uint64_t address) const { return address >= kExtra ? *extra_ : memory_; }
};

}  // namespace kata::fsd
