// SPDX-License-Identifier: Apache-2.0
// What random operations on a file have to come out as: its bytes, kept in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace kata::files {

// One file's content. Offsets and lengths are in bytes.
class Model {
 public:
  size_t size() const { return bytes_.size(); }

  // What read(2) gives there: less than length at the end, nothing beyond it.
  std::string Read(size_t offset, size_t length) const {
    if (offset >= bytes_.size()) return {};
    const size_t count = std::min(length, bytes_.size() - offset);
    return {bytes_.begin() + static_cast<long>(offset), bytes_.begin() + static_cast<long>(offset + count)};
  }
  // The file grows where that is needed, by zeros up to the offset.
  void Write(size_t offset, const std::string& text) {
    if (!text.empty()) Grow(offset + text.size());
    std::copy(text.begin(), text.end(), bytes_.begin() + static_cast<long>(offset));
  }
  void Truncate(size_t size) { bytes_.resize(size); }
  void Grow(size_t size) { bytes_.resize(std::max(size, bytes_.size())); }
  // Only what lies within the file; it does not grow.
  void Zero(size_t offset, size_t length) {
    const size_t from = std::min(offset, bytes_.size()), to = std::min(offset + length, bytes_.size());
    std::fill(bytes_.begin() + static_cast<long>(from), bytes_.begin() + static_cast<long>(to), '\0');
  }

  // Both within the file.
  void Remove(size_t offset, size_t length) {
    bytes_.erase(bytes_.begin() + static_cast<long>(offset), bytes_.begin() + static_cast<long>(offset + length));
  }
  void Insert(size_t offset, size_t length) { bytes_.insert(bytes_.begin() + static_cast<long>(offset), length, '\0'); }

 private:
  std::vector<char> bytes_;
};

// Numbers that are the same on every machine for one seed (the standard's distributions are not).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}

  uint64_t Next() {
    // An xorshift with a multiplication behind it.
    state_ ^= state_ >> 12U;
    state_ ^= state_ << 25U;
    state_ ^= state_ >> 27U;
    return (state_ * 0x2545F4914F6CDD1DU) >> 16U;
  }
  // From 0 to limit - 1; 0 for a limit of 0.
  size_t Below(size_t limit) { return limit == 0 ? 0 : static_cast<size_t>(Next() % limit); }
  bool OneIn(size_t limit) { return Below(limit) == 0; }

 private:
  uint64_t state_;
};

}  // namespace kata::files
