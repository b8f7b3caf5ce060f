// SPDX-License-Identifier: Apache-2.0
// A guest by hand: its memory, and the driver's side of its queues.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "fsd/guest_memory.h"
#include "fsd/virtqueue.h"

namespace kata::fsd {

// Where a test has its memory.
inline constexpr uint64_t kGuest = 1 << 20;
inline constexpr uint64_t kUser = 0x7f00'0000'0000;

// A memfd that is a region of a guest's memory.
class TestMemory {
 public:
  TestMemory(uint64_t guest_address, uint64_t user_address, uint64_t size);
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;
  ~TestMemory();

  int file() const { return file_.get(); }
  const MemoryRegion& region() const { return region_; }
  // What the guest has at this address of its own.
  char* At(uint64_t guest_address) const { return start_ + (guest_address - region_.guest_address); }
  uint64_t User(uint64_t guest_address) const { return guest_address - region_.guest_address + region_.user_address; }
  void Write(uint64_t guest_address, const std::string& text) const;
  std::string Read(uint64_t guest_address, size_t size) const { return {At(guest_address), size}; }

 private:
  MemoryRegion region_;
  UniqueFd file_;
  char* start_;
};

// A queue in such memory, as the guest's driver uses it.
class TestRing {
 public:
  struct Buffer {
    uint64_t address;
    uint32_t length;
    bool write = false;
  };

  // At a guest's address that is a multiple of 16. Takes Size(size) bytes.
  TestRing(const TestMemory& memory, uint64_t address, uint16_t size);
  static uint64_t Size(uint16_t size) { return size * (16 + 2 + 8) + 64; }

  uint16_t size() const { return size_; }
  Virtqueue::Addresses addresses() const;  // the VMM's
  // Places a descriptor, without telling anybody.
  void Describe(uint16_t index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next) const;
  // Says that there is a request whose first descriptor is this.
  void Publish(uint16_t head);
  // Adds a request. Its descriptors begin at `head`.
  void Add(uint16_t head, const std::vector<Buffer>& buffers);
  // As Add, with an indirect table at that address.
  void AddIndirect(uint16_t head, uint64_t table, const std::vector<Buffer>& buffers);
  // The next request that was returned, as its head and the bytes written to it.
  std::optional<std::pair<uint32_t, uint32_t>> NextUsed();

  uint16_t available_index() const { return Number(available_ + 2); }
  uint16_t used_index() const { return Number(used_ + 2); }
  void SetAvailableIndex(uint16_t index) { Number(available_ + 2) = index; }
  void SetAvailableFlags(uint16_t flags) { Number(available_) = flags; }
  // From which request on the guest wants an interrupt, and the device a notification.
  void SetUsedEvent(uint16_t index) { Number(available_ + 4 + 2 * size_) = index; }
  uint16_t available_event() const { return Number(used_ + 4 + 8 * size_); }

 private:
  uint16_t& Number(uint64_t address) const { return *reinterpret_cast<uint16_t*>(memory_.At(address)); }
  void DescribeAll(uint64_t table, uint16_t first, const std::vector<Buffer>& buffers) const;

  const TestMemory& memory_;
  uint16_t size_;
  uint64_t descriptors_;
  uint64_t available_;
  uint64_t used_;
  uint16_t seen_ = 0;
};

// A handler that answers with as much of the question as there is room for.
size_t Echo(std::span<const iovec> in, std::span<const iovec> out);

std::string TextOf(std::span<const iovec> buffers);

}  // namespace kata::fsd
