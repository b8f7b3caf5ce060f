// SPDX-License-Identifier: Apache-2.0
#include "fsd/vhost_user_fixture.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "fsd/virtqueue_layout.h"

namespace kata::fsd {

TestMemory::TestMemory(uint64_t guest_address, uint64_t user_address, uint64_t size)
    : region_{guest_address, size, user_address, 0}, file_(memfd_create("guest", MFD_CLOEXEC)) {
  EXPECT_EQ(ftruncate(file_.get(), static_cast<off_t>(size)), 0);
  start_ = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0));
  EXPECT_NE(start_, MAP_FAILED);
}

TestMemory::~TestMemory() { munmap(start_, region_.size); }

void TestMemory::Write(uint64_t guest_address, const std::string& text) const {
  memcpy(At(guest_address), text.data(), text.size());
}

TestRing::TestRing(const TestMemory& memory, uint64_t address, uint16_t size)
    : memory_(memory),
      size_(size),
      descriptors_(address),
      available_(address + 16 * size),
      used_((available_ + 4 + 2 * size + 2 + 3) & ~uint64_t{3}) {}

Virtqueue::Addresses TestRing::addresses() const {
  return {memory_.User(descriptors_), memory_.User(available_), memory_.User(used_)};
}

void TestRing::Describe(uint16_t index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next) const {
  const vring_desc descriptor = {address, length, flags, next};
  memcpy(memory_.At(descriptors_ + 16 * index), &descriptor, sizeof descriptor);
}

void TestRing::Publish(uint16_t head) {
  const uint16_t index = available_index();
  Number(available_ + 4 + 2 * (index % size_)) = head;
  std::atomic_ref(Number(available_ + 2)).store(index + 1);
}

void TestRing::DescribeAll(uint64_t table, uint16_t first, const std::vector<Buffer>& buffers) const {
  for (size_t i = 0; i < buffers.size(); ++i) {
    const bool last = i + 1 == buffers.size();
    const auto flags =
        static_cast<uint16_t>((buffers[i].write ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT));
    const vring_desc descriptor = {buffers[i].address, buffers[i].length, flags,
                                   static_cast<uint16_t>(last ? 0 : first + i + 1)};
    memcpy(memory_.At(table + 16 * (first + i)), &descriptor, sizeof descriptor);
  }
}

void TestRing::Add(uint16_t head, const std::vector<Buffer>& buffers) {
  DescribeAll(descriptors_, head, buffers);
  Publish(head);
}

void TestRing::AddIndirect(uint16_t head, uint64_t table, const std::vector<Buffer>& buffers) {
  DescribeAll(table, 0, buffers);
  Describe(head, table, static_cast<uint32_t>(16 * buffers.size()), VRING_DESC_F_INDIRECT, 0);
  Publish(head);
}

std::optional<std::pair<uint32_t, uint32_t>> TestRing::NextUsed() {
  if (std::atomic_ref(Number(used_ + 2)).load() == seen_) return std::nullopt;
  vring_used_elem element;
  memcpy(&element, memory_.At(used_ + 4 + 8 * (seen_++ % size_)), sizeof element);
  return std::pair(element.id, element.len);
}

std::string TextOf(std::span<const iovec> buffers) {
  std::string text;
  for (const iovec& buffer : buffers) text.append(static_cast<const char*>(buffer.iov_base), buffer.iov_len);
  return text;
}

size_t Echo(std::span<const iovec> in, std::span<const iovec> out) {
  const std::string text = TextOf(in);
  size_t done = 0;
  for (const iovec& buffer : out) {
    const size_t length = std::min(buffer.iov_len, text.size() - done);
    memcpy(buffer.iov_base, text.data() + done, length);
    done += length;
  }
  return done;
}

}  // namespace kata::fsd
