// SPDX-License-Identifier: Apache-2.0
#include "fsd/guest_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace kata::fsd {

namespace {

// Whether [start, start + size) has bytes, and ends within 64 bits.
bool IsRange(uint64_t start, uint64_t size) {
  return size > 0 && size - 1 <= std::numeric_limits<uint64_t>::max() - start;
}

bool Overlap(uint64_t start, uint64_t size, uint64_t other_start, uint64_t other_size) {
  return start <= other_start ? other_start - start < size : start - other_start < other_size;
}

// Whether [address, address + size) is in [start, start + length).
bool Within(uint64_t address, uint64_t size, uint64_t start, uint64_t length) {
  return address >= start && address - start <= length && size <= length - (address - start);
}

}  // namespace

// A region and its mapping, which ends with this object.
class GuestMemory::Mapping {
 public:
  static Result<std::shared_ptr<const Mapping>> Map(const MemoryRegion& region, int file) {
    struct stat status = {};
    if (fstat(file, &status) != 0) return FailErrno("cannot look at the file of the guest's memory");
    if (!S_ISREG(status.st_mode)) return Fail(Code::kInvalidArgument, "guest memory that is not a regular file");
    // An access beyond the end of the file would end this process.
    const auto file_size = static_cast<uint64_t>(status.st_size);
    if (!Within(region.file_offset, region.size, 0, file_size)) {
      return Fail(Code::kInvalidArgument, "guest memory of {} bytes at {} of a file of {}", region.size,
                  region.file_offset, file_size);
    }
    // Huge pages can only be mapped as a whole; st_blksize is the size of the file's pages.
    uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const auto block = static_cast<uint64_t>(status.st_blksize);
    if (block > page && (block & (block - 1)) == 0) page = block;
    const uint64_t before = region.file_offset & (page - 1);
    const uint64_t length = (before + region.size + page - 1) & ~(page - 1);
    void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file,
                         static_cast<off_t>(region.file_offset - before));
    if (address == MAP_FAILED) return FailErrno("cannot map {} bytes of the guest's memory", length);
    // A core dump is for debugging this process, and must not contain the guest's memory.
    (void)madvise(address, length, MADV_DONTDUMP);
    return std::make_shared<const Mapping>(region, address, length, before);
  }

  Mapping(const MemoryRegion& region, void* address, uint64_t length, uint64_t before)
      : region_(region), address_(address), length_(length), start_(static_cast<std::byte*>(address) + before) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(address_, length_); }

  const MemoryRegion& region() const { return region_; }
  std::byte* At(uint64_t offset) const { return start_ + offset; }
  void LetGo() const { (void)madvise(address_, length_, MADV_DONTNEED); }

 private:
  MemoryRegion region_;
  void* address_;
  uint64_t length_;
  std::byte* start_;
};

Result<GuestMemory> GuestMemory::With(const MemoryRegion& region, int file) const {
  if (!IsRange(region.guest_address, region.size) || !IsRange(region.user_address, region.size)) {
    return Fail(Code::kInvalidArgument, "guest memory of {} bytes at {:#x} ({:#x})", region.size, region.guest_address,
                region.user_address);
  }
  if (mappings_.size() >= kMaxRegions) return Fail(Code::kResourceExhausted, "more than {} regions", kMaxRegions);
  for (const auto& mapping : mappings_) {
    const MemoryRegion& other = mapping->region();
    if (Overlap(region.guest_address, region.size, other.guest_address, other.size) ||
        Overlap(region.user_address, region.size, other.user_address, other.size)) {
      return Fail(Code::kInvalidArgument, "guest memory at {:#x} overlaps that at {:#x}", region.guest_address,
                  other.guest_address);
    }
  }
  GuestMemory result = *this;
  auto added = TRY(Mapping::Map(region, file));
  const auto place = std::find_if(result.mappings_.begin(), result.mappings_.end(), [&](const auto& mapping) {
    return mapping->region().guest_address > region.guest_address;
  });
  result.mappings_.insert(place, std::move(added));
  return result;
}

Result<GuestMemory> GuestMemory::Without(const MemoryRegion& region) const {
  GuestMemory result = *this;
  const size_t removed = std::erase_if(result.mappings_, [&](const auto& mapping) {
    MemoryRegion same = region;
    same.file_offset = mapping->region().file_offset;  // the VMM need not say it again
    return same == mapping->region();
  });
  if (removed == 0) return Fail(Code::kNotFound, "no guest memory at {:#x}", region.guest_address);
  return result;
}

const GuestMemory::Mapping* GuestMemory::Find(uint64_t guest_address) const {
  const auto after =
      std::upper_bound(mappings_.begin(), mappings_.end(), guest_address,
                       [](uint64_t address, const auto& mapping) { return address < mapping->region().guest_address; });
  if (after == mappings_.begin()) return nullptr;
  const Mapping* mapping = std::prev(after)->get();
  return guest_address - mapping->region().guest_address < mapping->region().size ? mapping : nullptr;
}

std::byte* GuestMemory::AtGuest(uint64_t address, uint64_t size) const {
  const Mapping* mapping = Find(address);
  if (mapping == nullptr) return nullptr;
  const MemoryRegion& region = mapping->region();
  if (!Within(address, size, region.guest_address, region.size)) return nullptr;
  return mapping->At(address - region.guest_address);
}

uint64_t GuestMemory::size() const {
  uint64_t size = 0;
  for (const auto& mapping : mappings_) size += mapping->region().size;
  return size;
}

std::byte* GuestMemory::AtUser(uint64_t address, uint64_t size) const {
  for (const auto& mapping : mappings_) {
    const MemoryRegion& region = mapping->region();
    if (address - region.user_address < region.size && Within(address, size, region.user_address, region.size)) {
      return mapping->At(address - region.user_address);
    }
  }
  return nullptr;
}

bool GuestMemory::Append(uint64_t address, uint64_t size, size_t max, std::vector<iovec>& pieces) const {
  while (size > 0) {
    const Mapping* mapping = Find(address);
    if (mapping == nullptr || pieces.size() >= max) return false;
    const uint64_t offset = address - mapping->region().guest_address;
    const uint64_t length = std::min(size, mapping->region().size - offset);
    pieces.push_back({mapping->At(offset), length});
    size -= length;
    // Without this, the end of the last possible region would be followed by address 0.
    if (size > 0 && length > std::numeric_limits<uint64_t>::max() - address) return false;
    address += length;
  }
  return true;
}

void GuestMemory::LetGo() const {
  for (const auto& mapping : mappings_) mapping->LetGo();
}

}  // namespace kata::fsd
