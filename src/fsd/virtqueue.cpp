// SPDX-License-Identifier: Apache-2.0
#include "fsd/virtqueue.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "base/log.h"
#include "fsd/eventfd.h"
#include "fsd/virtqueue_layout.h"

namespace kata::fsd {

namespace {

// The ring is little-endian (VIRTIO_F_VERSION_1), and is read and written as it is.
static_assert(std::endian::native == std::endian::little);

// Parts of the available and of the used ring: flags, index, and then the elements.
constexpr size_t kFlags = 0;
constexpr size_t kIndex = 2;
constexpr size_t kElements = 4;

// One access each, so that a value which was checked cannot become another one.
uint16_t Load(const std::byte* place, std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref(*reinterpret_cast<uint16_t*>(const_cast<std::byte*>(place))).load(order);
}
void Store(std::byte* place, uint16_t value, std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref(*reinterpret_cast<uint16_t*>(place)).store(value, order);
}

vring_desc ReadDescriptor(const std::byte* table, size_t index) {
  vring_desc descriptor;
  memcpy(&descriptor, table + index * sizeof descriptor, sizeof descriptor);
  // The guest may change it now: the compiler must not read it a second time.
  asm volatile("" ::: "memory");
  return descriptor;
}

bool Aligned(const std::byte* place, size_t alignment) { return reinterpret_cast<uintptr_t>(place) % alignment == 0; }

}  // namespace

Result<> Virtqueue::SetSize(uint32_t size) {
  const std::scoped_lock lock(mutex_);
  if (ring_.used != nullptr) return Fail(Code::kFailedPrecondition, "{}: a size for a ring that is in use", name_);
  if (size == 0 || size > kMaxSize || !std::has_single_bit(size)) {
    return Fail(Code::kInvalidArgument, "{}: a ring of {} elements", name_, size);
  }
  size_ = size;
  return {};
}

Result<> Virtqueue::SetAddresses(const Addresses& addresses) {
  const std::scoped_lock lock(mutex_);
  addresses_ = addresses;
  // A VMM may say the same again, or where a running ring is now.
  if (ring_.used != nullptr && !FindRing()) Break("a ring that is not in the guest's memory");
  return {};
}

Result<> Virtqueue::SetBase(uint32_t base) {
  const std::scoped_lock lock(mutex_);
  if (ring_.used != nullptr) return Fail(Code::kFailedPrecondition, "{}: a base for a ring that is in use", name_);
  if (base > std::numeric_limits<uint16_t>::max()) return Fail(Code::kInvalidArgument, "{}: base {}", name_, base);
  next_ = static_cast<uint16_t>(base);
  return {};
}

void Virtqueue::SetFeatures(bool indirect, bool event_index) {
  const std::scoped_lock lock(mutex_);
  indirect_ = indirect;
  event_index_ = event_index;
}

void Virtqueue::SetMemory(std::shared_ptr<const GuestMemory> memory) {
  const std::scoped_lock lock(mutex_);
  memory_ = std::move(memory);
  if (ring_.used != nullptr && !FindRing()) Break("its ring is in memory that was removed");
}

void Virtqueue::SetCall(UniqueFd call) {
  const std::scoped_lock lock(mutex_);
  call_ = std::move(call);
}

void Virtqueue::SetError(UniqueFd error) {
  const std::scoped_lock lock(mutex_);
  error_ = std::move(error);
}

void Virtqueue::SetEnabled(bool enabled) {
  const std::scoped_lock lock(mutex_);
  enabled_ = enabled;
}

bool Virtqueue::FindRing() {
  ring_ = {};
  if (!memory_ || size_ == 0) return false;
  Ring ring;
  ring.descriptors = memory_->AtUser(addresses_.descriptors, size_ * sizeof(vring_desc));
  // Each ring ends with the index of an event.
  ring.available = memory_->AtUser(addresses_.available, kElements + size_ * sizeof(uint16_t) + sizeof(uint16_t));
  ring.used = memory_->AtUser(addresses_.used, kElements + size_ * sizeof(vring_used_elem) + sizeof(uint16_t));
  if (ring.descriptors == nullptr || ring.available == nullptr || ring.used == nullptr) return false;
  if (!Aligned(ring.descriptors, VRING_DESC_ALIGN_SIZE) || !Aligned(ring.available, VRING_AVAIL_ALIGN_SIZE) ||
      !Aligned(ring.used, VRING_USED_ALIGN_SIZE)) {
    return false;
  }
  ring_ = ring;
  return true;
}

void Virtqueue::Break(std::string_view why) {
  ring_ = {};
  broken_ = true;
  log::Warn("{} is not served any more: {}", name_, why);
  if (error_) Notify(error_.get());
}

bool Virtqueue::broken() const {
  const std::scoped_lock lock(mutex_);
  return broken_;
}

void Virtqueue::Start() {
  const std::scoped_lock lock(mutex_);
  if (ring_.used != nullptr) return;
  broken_ = false;
  if (!FindRing()) {
    Break("a ring that is not in the guest's memory");
    return;
  }
  used_ = Load(ring_.used + kIndex);
}

uint16_t Virtqueue::Stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  returned_.wait(lock, [this] { return in_flight_ == 0; });
  stopping_ = false;
  ring_ = {};
  return next_;
}

uint16_t Virtqueue::AvailableIndex() const {
  // What the guest has written before it wrote the index must be seen with it.
  return Load(ring_.available + kIndex, std::memory_order_acquire);
}

bool Virtqueue::AskForNotification() {
  const std::scoped_lock lock(mutex_);
  return Ask();
}

bool Virtqueue::Ask() {
  if (!Runs()) return false;
  // Without the event index the guest notifies always: the flag that prevents it is never set.
  if (event_index_) {
    Store(ring_.used + kElements + size_ * sizeof(vring_used_elem), next_);
    // The guest adds a request, and then reads the event's index; this is the other way round. One of both sees what
    // the other has done.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  return AvailableIndex() != next_;
}

bool Virtqueue::Take(Chain& chain, bool wanted, bool* more) {
  *more = false;
  const std::scoped_lock lock(mutex_);
  if (!Runs()) return false;
  const auto available = static_cast<uint16_t>(AvailableIndex() - next_);
  if (available == 0) return false;
  if (available > size_) {
    Break(fmt::format("{} requests in a ring of {}", available, size_));
    return false;
  }
  chain.head = Load(ring_.available + kElements + (next_ % size_) * sizeof(uint16_t));
  chain.readable.clear();
  chain.writable.clear();
  const std::string_view bad = Walk(chain);
  if (!bad.empty()) {
    Break(bad);
    return false;
  }
  chain.memory = memory_;
  ++next_;
  ++in_flight_;
  if (wanted) *more = Ask();
  return true;
}

std::string_view Virtqueue::Walk(Chain& chain) const {
  const std::byte* table = ring_.descriptors;
  size_t count = size_;
  size_t index = chain.head;
  bool inside = false;  // an indirect table
  uint64_t total = 0;
  // A chain is not longer than its ring, not counted what refers to the indirect table. More are a loop.
  for (size_t seen = 0; seen <= size_; ++seen) {
    if (index >= count) return "a request with a descriptor outside of its table";
    const vring_desc descriptor = ReadDescriptor(table, index);
    if ((descriptor.flags & VRING_DESC_F_INDIRECT) != 0) {
      if (!indirect_ || inside || (descriptor.flags & VRING_DESC_F_NEXT) != 0) {
        return "a request with an indirect table where none may be";
      }
      count = descriptor.len / sizeof(vring_desc);
      if (descriptor.len % sizeof(vring_desc) != 0 || count == 0 || count > size_) {
        return "a request with an indirect table of a bad size";
      }
      table = memory_->AtGuest(descriptor.addr, descriptor.len);
      if (table == nullptr) return "a request with an indirect table that is not in the guest's memory";
      index = 0;
      inside = true;
      continue;
    }
    const bool write = (descriptor.flags & VRING_DESC_F_WRITE) != 0;
    if (!write && !chain.writable.empty()) return "a request with a buffer to read after one to write";
    total += descriptor.len;
    if (total > std::numeric_limits<uint32_t>::max()) return "a request of more than 4 GiB";
    // Twice the size: a buffer may be in several regions.
    auto& buffers = write ? chain.writable : chain.readable;
    if (!memory_->Append(descriptor.addr, descriptor.len, 2 * static_cast<size_t>(size_), buffers)) {
      return "a request with a buffer that is not in the guest's memory";
    }
    if ((descriptor.flags & VRING_DESC_F_NEXT) == 0) return {};
    index = descriptor.next;
  }
  return "a request with more descriptors than its ring";
}

void Virtqueue::Return(Chain& chain, uint32_t written) {
  {
    const std::scoped_lock lock(mutex_);
    // A broken queue has no ring.
    if (ring_.used != nullptr) {
      const vring_used_elem element = {chain.head, written};
      memcpy(ring_.used + kElements + (used_ % size_) * sizeof element, &element, sizeof element);
      const uint16_t index = ++used_;
      Store(ring_.used + kIndex, index, std::memory_order_release);
      // The guest says from when on it wants an interrupt, and then looks at the index once more; this is the other way
      // round.
      std::atomic_thread_fence(std::memory_order_seq_cst);
      // With the event index: when the request with that index is returned.
      const bool wanted = event_index_ ? Load(ring_.available + kElements + size_ * sizeof(uint16_t)) ==
                                             static_cast<uint16_t>(index - 1)
                                       : (Load(ring_.available + kFlags) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
      if (wanted && call_) Notify(call_.get());
    }
    if (--in_flight_ == 0) returned_.notify_all();
  }
  // Outside of the lock, since it may unmap a region.
  chain.memory.reset();
}

}  // namespace kata::fsd
