// SPDX-License-Identifier: Apache-2.0
// The guest's memory, mapped into this process, and the translation of the addresses by which others name parts of it.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::fsd {

// A part of the guest's memory, as the VMM describes it.
struct MemoryRegion {
  uint64_t guest_address = 0;  // where the guest has it
  uint64_t size = 0;           // bytes
  uint64_t user_address = 0;   // where the VMM has it mapped; it names the rings by such addresses
  uint64_t file_offset = 0;    // where it begins in the VMM's file

  bool operator==(const MemoryRegion&) const = default;
};

// A table of mapped regions. It never changes: With and Without make another table, which shares the mappings. Whoever
// uses memory of the guest keeps the table by which it was translated; a region that was removed meanwhile is unmapped
// with the last table that has it.
//
// What the memory contains may change at any time, and means nothing before it was copied and checked.
class GuestMemory {
 public:
  // As many as QEMU can have slots for memory.
  static constexpr size_t kMaxRegions = 512;

  // With one more region, which is mapped from file. The file is not needed afterwards. kInvalidArgument: it overlaps
  // another region, ends beyond an address space or the file, or the file is not a regular one. kResourceExhausted:
  // there are kMaxRegions.
  Result<GuestMemory> With(const MemoryRegion& region, int file) const;
  // Without the region that has these addresses and this size. kNotFound: there is none.
  Result<GuestMemory> Without(const MemoryRegion& region) const;

  // The size bytes at an address of the guest, or of the VMM; nullptr unless all of them are in one region.
  std::byte* AtGuest(uint64_t address, uint64_t size) const;
  std::byte* AtUser(uint64_t address, uint64_t size) const;

  // Appends where the size bytes at an address of the guest are, in as many pieces as the regions ask for. False:
  // there is no memory at some of them, or pieces would have more than max elements; what was appended is then void.
  bool Append(uint64_t address, uint64_t size, size_t max, std::vector<iovec>& pieces) const;

  // Gives back the page tables, and the pages' share in what this process is charged for. The contents stay, since the
  // mappings are shared; the next access finds them again.
  void LetGo() const;

  size_t regions() const { return mappings_.size(); }
  // The bytes of all of them.
  uint64_t size() const;

 private:
  class Mapping;
  const Mapping* Find(uint64_t guest_address) const;

  std::vector<std::shared_ptr<const Mapping>> mappings_;  // in the order of the guest's addresses
};

}  // namespace kata::fsd
