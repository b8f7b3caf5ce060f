// SPDX-License-Identifier: Apache-2.0
// The back end of a virtio-fs device over vhost-user: learns from a VMM where the guest's memory and its queues are,
// and has the guest's requests handled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fsd/guest_memory.h"
#include "fsd/late_requests.h"
#include "fsd/vhost_user_message.h"
#include "fsd/vhost_user_workers.h"
#include "fsd/virtqueue.h"

namespace kata::fsd {

// The device. Its queue 0 is for requests of high priority (FORGET, INTERRUPT), which have a thread of their own; the
// others are for all other requests (virtio 1.2, section 5.11.2).
class VhostUser {
 public:
  static constexpr size_t kQueues = 5;  // so a VMM may have up to 4 request queues

  struct Options {
    Handler handler;
    unsigned threads = 2;                             // for the request queues; 1 or more
    LateRequests* late = nullptr;                     // for the request queues; it lives longer than the device
    std::function<void(uint64_t bytes)> memory = {};  // is told how much memory the guest has; may be empty
  };

  // Starts the threads. They wait until Serve has got them work.
  static Result<std::unique_ptr<VhostUser>> Create(Options options);
  VhostUser(const VhostUser&) = delete;
  VhostUser& operator=(const VhostUser&) = delete;
  ~VhostUser();

  // Serves a VMM over a connected stream socket. Returns when the VMM has closed it, after all requests have been
  // handled. An error: what the VMM has sent is not the protocol, or asks for what was not offered.
  Result<> Serve(UniqueFd connection);

 private:
  struct Queue {
    explicit Queue(std::string name) : ring(std::move(name)) {}
    Virtqueue ring;
    UniqueFd kick;
    Workers* workers = nullptr;
  };

  VhostUser();
  Result<> Handle(Message& message);
  Result<> Act(Message& message);
  Result<> Answer(Message& message, bool& answered);
  Result<> SetFeatures(uint64_t features);
  Result<> SetProtocolFeatures(uint64_t features);
  Result<> SetMemTable(Message& message);
  Result<> SetKick(Message& message);
  void UseMemory(GuestMemory memory);
  Result<Queue*> QueueAt(uint64_t index);
  // The queue and the eventfd (invalid: none) of a SET_VRING_KICK, _CALL or _ERR.
  struct Event {
    Queue* queue;
    UniqueFd event;
  };
  Result<Event> TakeEvent(Message& message);
  uint16_t StopQueue(Queue& queue);

  LateRequests* late_ = nullptr;
  std::function<void(uint64_t bytes)> memory_size_;
  UniqueFd connection_;
  uint64_t protocol_features_ = 0;
  std::deque<Queue> queues_;
  std::mutex memory_mutex_;
  std::shared_ptr<const GuestMemory> memory_;
  // After what the threads use, so that they end first.
  std::unique_ptr<Workers> first_workers_;  // for queue 0
  std::unique_ptr<Workers> workers_;
};

}  // namespace kata::fsd
