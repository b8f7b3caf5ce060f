// SPDX-License-Identifier: Apache-2.0
// The device's side of a split virtqueue (virtio 1.2, section 2.7): takes requests of the guest, and returns them.
#pragma once

#include <sys/uio.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fsd/guest_memory.h"

namespace kata::fsd {

// A request of the guest: buffers that it has filled, and buffers for the reply, both in its memory.
struct Chain {
  std::vector<iovec> readable;
  std::vector<iovec> writable;
  std::shared_ptr<const GuestMemory> memory;  // keeps the buffers mapped
  uint16_t head = 0;                          // how the guest names the request
};

// A queue that the guest fills and that several threads empty. Thread-safe.
//
// The guest is hostile. A ring or chain that breaks the rules breaks the queue: no more is taken from it until it is
// started again. This costs nobody but that guest.
class Virtqueue {
 public:
  static constexpr uint32_t kMaxSize = 32768;  // virtio's

  // Where the VMM has the parts of the ring mapped.
  struct Addresses {
    uint64_t descriptors = 0;
    uint64_t available = 0;
    uint64_t used = 0;
  };

  // name is for the log.
  explicit Virtqueue(std::string name) : name_(std::move(name)) {}

  // What is set before Start. kInvalidArgument: no size for a ring. kFailedPrecondition: the queue is started.
  Result<> SetSize(uint32_t size);
  Result<> SetAddresses(const Addresses& addresses);
  Result<> SetBase(uint32_t base);  // the index of the next request, as Stop has returned it
  void SetFeatures(bool indirect, bool event_index);

  // What may change at any time. An invalid descriptor: nobody is to be told.
  void SetMemory(std::shared_ptr<const GuestMemory> memory);
  void SetCall(UniqueFd call);    // eventfd: a request has been returned
  void SetError(UniqueFd error);  // eventfd: the queue is broken
  void SetEnabled(bool enabled);  // nothing is taken from a queue that is not enabled

  // Finds the ring in the guest's memory. If it is not there, the queue is broken.
  void Start();
  // Takes no more, waits until each request that was taken has been returned, and lets go of the ring. Returns the
  // index of the next request.
  uint16_t Stop();

  // Takes the next request, which must come back by Return. False: there is none. wanted: whether another thread waits
  // for requests; then the guest is asked for a notification, and *more says whether there is a request already.
  bool Take(Chain& chain, bool wanted, bool* more);
  // Returns a request with the number of bytes that were written to it, and interrupts the guest if it wants that.
  void Return(Chain& chain, uint32_t written);
  // Asks the guest for a notification. True: there is a request already, for which none will come.
  bool AskForNotification();

  bool broken() const;

 private:
  struct Ring {
    std::byte* descriptors = nullptr;
    std::byte* available = nullptr;
    std::byte* used = nullptr;
  };

  // These are called with mutex_ held.
  bool Runs() const { return ring_.used != nullptr && enabled_ && !stopping_ && !broken_; }
  bool FindRing();
  void Break(std::string_view why);
  uint16_t AvailableIndex() const;
  bool Ask();
  std::string_view Walk(Chain& chain) const;  // why the chain is bad; empty: it is good

  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable returned_;
  uint32_t size_ = 0;
  Addresses addresses_;
  bool indirect_ = false;
  bool event_index_ = false;
  bool enabled_ = false;
  bool stopping_ = false;
  bool broken_ = false;
  std::shared_ptr<const GuestMemory> memory_;
  Ring ring_;          // in memory_; null when the queue is stopped
  uint16_t next_ = 0;  // index of the next request to take
  uint16_t used_ = 0;  // index of the next one to return
  uint32_t in_flight_ = 0;
  UniqueFd call_;
  UniqueFd error_;
};

}  // namespace kata::fsd
